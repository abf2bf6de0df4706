// The draws of the cloud, and the signal-to-noise of the estimators' gradients over K.
import { $, format, tell } from "../shared/page.js";
import { line } from "../shared/charts.js";
import { axes, legend } from "./charts.js";
import { decode, ESTIMATORS, expectedOfBound, headGradients, moments, normals, paired } from "./estimators.js";
import { SAMPLES, state } from "./state.js";

const DRAWS = 1000;
const noise = {};
let later = 0;

// Returns a function of an estimator's name and K that draws its gradients at the numbers `t`, (DRAWS x 2Z).
// The estimators share their samples. Antithetic draws need an even K: `own` is what they have.
export function drawer(t) {
  const decoded = {};
  return (name, K) => {
    const pairs = ESTIMATORS[name].paired;
    const own = pairs ? Math.max(2, K) : K;
    const eps = (noise[`${state.seed} ${own} ${state.Z}`] ??= normals(DRAWS * own * state.Z, state.seed));
    const p = (decoded[`${pairs} ${own}`] ??= decode(t, state.Z, pairs ? paired(eps, own, state.Z) : eps));
    return { own, found: headGradients(name, p, own, state.baseline) };
  };
}

// One K a task, so that a drag never waits for all of them.
export function drawSignal(t) {
  const found = { monte_carlo: [], score_function: [], iwae: [], dreg: [] };
  const elbo = expectedOfBound(t, state.Z, 1);
  const next = i => {
    if (i === SAMPLES.length) return draw(found);
    const bound = expectedOfBound(t, state.Z, SAMPLES[i]);
    const drawn = drawer(t);
    for (const name in found) {
      const exact = ESTIMATORS[name].weighed ? bound : elbo;
      found[name].push([i, Math.log2(moments(drawn(name, SAMPLES[i]).found, exact).signal)]);
    }
    later = setTimeout(next, 0, i + 1);
  };
  clearTimeout(later);
  next(0);
}

function draw(found) {
  const signals = Object.values(found).flatMap(points => points.map(([, y]) => y)).filter(Number.isFinite);
  const low = Math.floor(Math.min(...signals));
  const high = Math.ceil(Math.max(...signals) + 0.01);
  const powers = Array.from({ length: Math.floor((high - low) / 2) + 1 }, (_, i) => low + 2 * i);
  const chart = axes($("signal"), [0, SAMPLES.length - 1], [low, high], {
    xTicks: SAMPLES.map((K, i) => [i, K]),
    yTicks: powers.map(power => [power, Number((2 ** power).toPrecision(2))]),
    xLabel: "K",
  });
  line(chart, found.monte_carlo, "muted", [6, 4]);
  line(chart, found.score_function, "muted", [2, 3]);
  line(chart, found.iwae, "test");
  line(chart, found.dreg, "train");
  legend(chart, { "Monte Carlo – –": "muted", "score ···": "muted", IWAE: "test", DReG: "value" });
  const ends = points => `${format(2 ** points[0][1], 3)} to ${format(2 ** points.at(-1)[1], 3)}`;
  const fails = found.dreg.at(-1)[1] < found.dreg[0][1] - 0.5;
  const why = fails
    ? "DReG's falls, too, where q is narrower than the posterior: a few samples then outweigh all others. Raise cv."
    : "The better the bound, the less IWAE's gradient tells the encoder; DReG's keeps telling.";
  tell("signal", `From K = 1 to 64 IWAE's goes from ${ends(found.iwae)}, DReG's from ${ends(found.dreg)}. ${why}`);
}
