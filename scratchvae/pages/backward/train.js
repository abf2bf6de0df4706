// Train: steps that move the graph's weights; the two parts of the loss, the tug at each latent, the codes.
import { $, format, player, put, tell } from "../shared/page.js";
import { line } from "../shared/charts.js";
import { axes, dot, legend } from "./charts.js";
import { drawCodes } from "./codes.js";
import { expected } from "./estimators.js";
import { FAULTS } from "./faults.js";
import { change, onChange, onRest, state } from "./state.js";
import { dataRows, start, trainStep } from "./training.js";
import { forward, network } from "./vae.js";

const MOST_STEPS = 5000;
let run = null;
let first = {};                                                 // the weights that the run began with
let parts = [];

// The run goes on from its own weights; where they are others now, it begins anew from there.
function current() {
  const net = network(state.Z, state.likelihood);
  if (run?.net !== net || Object.keys(net.parameters).some(name => state[name] !== run.theta[name])) {
    run = start(net, state);
    first = run.theta;
    parts = [];
  }
  return net;
}

function step() {
  const net = current();
  const { next, reconstruction, kl } = trainStep(state, run, FAULTS[state.fault]);
  if (!Object.values(next.theta).every(Number.isFinite)) {
    stop();
    return put($("trained"), "The numbers are no longer finite. Rewind, and take a smaller rate.");
  }
  parts.push([run.step, reconstruction, kl]);
  run = next;
  change(run.theta);
  if (run.step === MOST_STEPS) stop();
}

const stop = player($("run"), step, 40);
$("one").addEventListener("click", () => {
  stop();
  step();
});
$("rewind").addEventListener("click", () => {
  stop();
  run = null;
  change(first);
});
$("optimizer").addEventListener("change", () => change({ optimizer: $("optimizer").value }));
$("rate").addEventListener("input", () => change({ rate: Number((10 ** $("rate").value).toFixed(4)) }));

function drawParts() {
  const high = parts.reduce((most, [, reconstruction, kl]) => Math.max(most, reconstruction, kl), 1.5);
  const chart = axes($("parts"), [0, Math.max(50, parts.length)], [0, high], { xLabel: "step", yLabel: "nats" });
  const of = column => parts.map(numbers => [numbers[0], numbers[column]]);
  line(chart, of(1), "train");
  line(chart, of(2), "test", [6, 4]);
  legend(chart, { reconstruction: "value", "KL – –": "test" });
  if (!parts.length) return tell("parts", "Press Play.");
  const [, reconstruction, kl] = parts.at(-1);
  tell("parts", `Reconstruction ${format(reconstruction, 3)} + ${format(state.beta, 2)} × KL ${format(kl, 3)} nats.`);
}

// What pulls at mu and v of every example: beta times the KL's slope, and the reconstruction's averaged over eps.
function pullsOf(net) {
  const { Z } = net;
  const rows = dataRows(state, 0);
  forward(net, rows);
  return rows.flatMap(t => {
    return [...expected({ ...t, beta: 0 }, Z, Z === 1 ? 181 : 31)].map((reconstruction, c) => {
      const [j, ofMean] = [(c % Z) + 1, c < Z];
      return { j, ofMean, reconstruction, kl: t.beta * (ofMean ? t[`mu${j}`] : 0.5 * Math.expm1(t[`v${j}`])) };
    });
  });
}

function drawTug(net) {
  const pulls = pullsOf(net);
  const R = 1.1 * Math.max(0.3, ...pulls.flatMap(({ kl, reconstruction }) => [kl, reconstruction].map(Math.abs)));
  const chart = axes($("tug"), [-R, R], [-R, R], { xLabel: "the KL's pull", yLabel: "the reconstruction's pull" });
  const balance = [[-R, R], [R, -R]];
  line(chart, balance, "edge", [3, 4]);
  for (const { kl, reconstruction, ofMean, j } of pulls)
    dot(chart, [kl, reconstruction], ofMean ? "train" : "test", j === 2);
  legend(chart, { "● μ": "value", "● v": "test" });
  const off = Math.max(...pulls.map(({ kl, reconstruction }) => Math.abs(kl + reconstruction)));
  const hollow = net.Z === 2 ? ", hollow for the second latent" : "";
  const where = `A point for μ and v of each example${hollow}. On the dashed line the two balance.`;
  tell("tug", `${where} The largest sum is ${format(off, 3)}.`);
}

onChange(() => {
  if (document.activeElement !== $("rate")) $("rate").value = Math.log10(state.rate);
  $("optimizer").value = state.optimizer;
  put($("rate-out"), format(state.rate, 3));
  put($("trained"), `step ${run?.step ?? 0}${state.fault && ", with the fault"}`);
});
onRest($("train"), ({ net }) => {
  current();
  drawParts();
  drawTug(net);
  drawCodes(net);
});
