// One picture, in and out: what the encoder says of it, its reconstruction, and the bound with log p(x) above it.
import { $, clamp, data, format, make, put, set, tableRow } from "../shared/page.js";
import { line } from "../shared/charts.js";
import { bounds, effective, klTerms, makeRandom } from "./arithmetic.js";
import { frame, picture } from "./pictures.js";

const MOST = 4096, PATIENCE = 8, QUIET = 250;    // draws of z, ms of a frame that they may take, ms of rest before them
const nats = (x, digits = 2) => `${format(x, digits)} nats`;
export const order = data.kl.map((_, j) => j).sort((a, b) => data.kl[b] - data.kl[a]);

export function makeEncode({ model, state, change }) {
  const [mean, bar] = [$("reconstruction"), $("nats")];
  const rows = order.map(j => {
    const cells = tableRow($("latents"), [`z${j + 1}`, "", "", "", ""], ["", "", "", "bar"]);
    return { j, cells, interval: make("i", cells[3]) };
  });
  $("again").onclick = () => change({ seed: state.seed + 1, z: "sample" });

  function draw({ x, q, isDensity }) {
    const terms = klTerms(q), kl = terms.reduce((a, b) => a + b, 0);
    const eps = makeRandom(state.seed).normals(data.n_latent);
    const one = model.sample(x, q, state.z === "mean" ? eps.fill(0) : eps);
    picture(mean, one.mean);
    for (const { j, cells, interval } of rows) {
      const sigma = Math.exp(q.logvar[j] / 2);
      [q.mu[j], sigma, terms[j]].forEach((value, k) => put(cells[k], format(value, k === 0 ? 2 : 3)));
      set(cells[2], "style", `--share:${Math.min(100, 100 * terms[j] / 6).toFixed(1)}%`);
      const [from, to] = [q.mu[j] - sigma, q.mu[j] + sigma].map(z => clamp(50 + z * 12.5, 0, 100));
      set(interval, "style", `left:${from.toFixed(1)}%;width:${Math.max(1, to - from).toFixed(1)}%`);
    }
    bar.hidden = one.nll < 0;                                              // a density can be above 1
    set(bar, "style", `--share:${(100 * one.nll / (one.nll + kl)).toFixed(1)}%`);
    put($("cost"), isDensity ? "−log p(x | z)" : "cross entropy");
    put($("above"), isDensity ? "log p(x), from K draws" : "The loss, from K draws");
    put($("nll"), format(one.nll, 2));
    put($("kl"), format(kl, 2));
    const loss = one.nll + kl;
    put($("total"), isDensity ? `ELBO of this z = ${format(-loss, 2)}` : `loss of this z = ${format(loss, 2)}`);
    estimate(x, q, kl, isDensity);
  }

  // log p(x) by importance sampling, a few draws a frame, from the start whenever x changes
  const logWeights = new Float64Array(MOST);
  let at = null, count = 0, cost = 0, random = null, waiting = 0, frameOf = 0;
  function estimate(x, q, kl, isDensity) {
    const same = at && at.y === model.y && at.isDensity === isDensity && x.every((value, d) => value === at.x[d]);
    at = { x, y: model.y, q, kl, isDensity };
    if (same) return show();
    [count, cost, random] = [0, 0, makeRandom(7)];
    cancelAnimationFrame(frameOf);
    clearTimeout(waiting);
    waiting = setTimeout(go, QUIET);
  }
  function go() {
    const end = performance.now() + PATIENCE, before = count;
    while (count < MOST && (performance.now() < end || count === before)) {
      const { nll, logWeight } = model.sample(at.x, at.q, random.normals(data.n_latent));
      logWeights[count++] = logWeight;
      cost += nll;
    }
    show();
    if (count < MOST) frameOf = requestAnimationFrame(go);
  }
  function show() {
    if (!count) return;
    const m = Math.floor(Math.log2(count)), used = logWeights.subarray(0, 2 ** m), found = bounds(used);
    const { kl, isDensity } = at, elbo = -cost / count - kl, best = found[m];
    const low = Math.min(found[0], elbo), pad = Math.max(0.5, 0.12 * (best - low));
    const axes = frame($("climb"), 1.6, { x: [0, 12], y: [low - pad, Math.max(best, elbo) + pad],
      names: ["K, draws", isDensity ? "L_K, nats" : "−loss, nats"],
      at: [0, 3, 6, 9, 12].map(power => [power, (2 ** power).toLocaleString("en")]) });
    line(axes, [[0, elbo], [12, elbo]], "test", [5, 4]);
    line(axes, found.map((value, power) => [power, value]), "value");
    const [draws, equal] = [count, Math.round(effective(used))].map(n => n.toLocaleString("en"));
    const shown = isDensity
      ? `ELBO = −(${format(cost / count, 2)} + ${format(kl, 2)}) = ${nats(elbo)} over ${draws} draws (dashed). log `
        + `p(x) is at least ${nats(best)} on average: ${nats(best - elbo)} more. In effect ${equal} of the draws count.`
      : "Gray pixels have no likelihood under a Bernoulli: this is a loss and no bound. For one, take black and white.";
    put($("found"), shown);
    set($("climb"), "aria-label", `The bound L_K over K: ${shown}`);
  }
  return { draw };
}
