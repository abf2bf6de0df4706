// Checks of a fault at the present setting, after the museum's detectors: each returns what it found wrong, or "".
import { format } from "../shared/page.js";
import { agrees, difference, lossAlong } from "./differences.js";
import { sign } from "./words.js";
import { forward, gradient, klOf, rowsOf } from "./vae.js";

const NODES = Array.from({ length: 81 }, (_, i) => (i - 40) / 5);
const MASS = NODES.map(e => Math.exp((-e * e) / 2) / Math.sqrt(2 * Math.PI) / 5);
const differs = (a, b) => !(Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b)));

export const CHECKS = {
  "gradient check": (net, s, fault) => {
    const found = gradient(net, rowsOf(s), fault).gradient;
    const slope = name => difference(lossAlong(net, rowsOf(s), fault, name), s[name]);
    const wrong = Object.keys(found).filter(name => !agrees(found[name], slope(name)));
    return wrong.length ? `d is not the slope of the loss for ${wrong.map(sign).join(", ")}` : "";
  },
  // Averages over eps are sums over the nodes of the trapezoid rule; the latents are independent.
  "sampler moments": (net, s, fault) => {
    for (let j = 1; j <= net.Z; j++) {
      const { z, t } = samples(net, s, fault, j);
      const mean = MASS.reduce((sum, m, i) => sum + m * z[i], 0);
      const variance = MASS.reduce((sum, m, i) => sum + m * (z[i] - mean) ** 2, 0);
      const says = [t[`mu${j}`], Math.exp(t[`v${j}`])];
      const [found, wanted] = [[mean, variance], says].map(pair => pair.map(x => format(x, 3)));
      if (differs(mean, says[0]) || differs(variance, says[1]))
        return `${sign(`z${j}`)} has mean and variance ${found.join(", ")}; q says ${wanted.join(", ")}`;
    }
    return "";
  },
  "KL by quadrature": (net, s, fault) => {
    let reported = 0;
    let wanted = 0;
    for (let j = 1; j <= net.Z; j++) {
      const { z, t } = samples(net, s, fault, j);
      const mu = t[`mu${j}`];
      const v = t[`v${j}`];
      reported += t[`klm${j}`] + t[`kls${j}`];
      wanted += MASS.reduce((sum, m, i) => sum + m * 0.5 * (z[i] ** 2 - (z[i] - mu) ** 2 * Math.exp(-v) - v), 0);
    }
    return differs(reported, wanted) ? `the KL is ${format(reported)}; log q − log p averages ${format(wanted)}` : "";
  },
  "probabilities sum to one": (net, s, fault) => {
    if (s.likelihood === "gaussian") return "";
    let sum = 0;
    for (const x1 of [0, 1])
      for (const x2 of [0, 1]) {
        const [t] = rowsOf({ ...s, x11: x1, x12: x2 });
        forward(net, [t], fault, { name: "h", value: 0.5, where: () => true }); // z must not depend on x here
        sum += Math.exp(-t.nll);
      }
    return differs(sum, 1) ? `exp(−nll) adds up to ${format(sum)} over the four pictures` : "";
  },
  "beta linearity": (net, s, fault) => {
    const at = beta => {
      const [t] = rowsOf({ ...s, beta });
      forward(net, [t], fault);
      return t;
    };
    const t = at(s.beta);
    const grown = at(s.beta + 1).L - t.L;
    const kl = klOf(t, net.Z);
    return differs(grown, kl) ? `the loss grows by ${format(grown)} when β does by 1; the KL is ${format(kl)}` : "";
  },
};

function samples(net, s, fault, j) {
  const [t] = rowsOf(s);
  const node = net.nodes.find(({ name }) => name === `z${j}`);
  const f = fault?.nodes?.[`z${j}`] ?? node.f;
  forward(net, [t], fault);
  return { t, z: NODES.map(e => f({ ...t, [`eps${j}`]: e })) };
}
