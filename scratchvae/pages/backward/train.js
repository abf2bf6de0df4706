// Train: steps that move the graph's weights; the two parts of the loss, the tug at each latent, the codes.
import { $, color, format, put } from "../shared/page.js";
import { axes, dot, legend, line } from "./charts.js";
import { decode, headGradients, rule } from "./estimators.js";
import { change, onChange, onRest, state } from "./state.js";
import { DATA, dataRows, start, trainStep } from "./training.js";
import { forward, network } from "./vae.js";
import { sign } from "./words.js";

let run = null, parts = [], timer = 0;

// The run goes on from its own weights; where the reader has moved them, it begins anew from there.
function current() {
  const net = network(state.Z, state.likelihood), moved = run && Object.keys(net.parameters).some(name => state[name] !== run.theta[name]);
  if (!run || moved || Object.keys(run.theta).length !== Object.keys(net.parameters).length) {
    run = start(net, state);
    run.first = run.theta;
    parts = [];
  }
  return net;
}

function step() {
  const net = current(), { next, reconstruction, kl } = trainStep(net, state, run);
  if (!Object.values(next.theta).every(Number.isFinite)) { stop(); return put($("trained"), "The numbers are no longer finite. Rewind, and take a smaller rate."); }
  parts.push([run.step, reconstruction, kl]);
  run = { ...next, first: run.first };
  change(run.theta);
}

function stop() {
  clearInterval(timer);
  timer = 0;
  put($("run"), "Play");
}

$("one").addEventListener("click", () => { stop(); step(); });
$("run").addEventListener("click", () => {
  if (timer) return stop();
  timer = setInterval(step, 40);
  put($("run"), "Pause");
});
$("rewind").addEventListener("click", () => {
  stop();
  if (!run) return;
  const first = run.first;
  run = null;
  change(first);
});
$("optimizer").addEventListener("change", () => { run = run && { ...run, m: {}, v: {} }; change({ optimizer: $("optimizer").value }); });
$("rate").addEventListener("input", () => change({ rate: 10 ** Number($("rate").value) }));

function drawParts() {
  const high = Math.max(1.5, ...parts.map(([, reconstruction, kl]) => Math.max(reconstruction, kl))), chart = axes($("parts"), [0, Math.max(50, parts.length)], [0, high], { xLabel: "step", yLabel: "nats" });
  line(chart, parts.map(([i, reconstruction]) => [i, reconstruction]), color("train"));
  line(chart, parts.map(([i, , kl]) => [i, kl]), color("test"), [6, 4]);
  legend(chart, [["reconstruction", color("value")], ["KL – –", color("test")]]);
  const [, reconstruction, kl] = parts.at(-1) ?? [0, NaN, NaN];
  const words = parts.length ? `Reconstruction ${format(reconstruction, 3)} + ${format(state.beta, 2)} × KL ${format(kl, 3)} nats.` : "Press Play.";
  put($("parts-said"), words);
  $("parts").setAttribute("aria-label", words);
}

// What pulls at mu and v of each example: the KL across, the reconstruction (its expectation over eps) upwards.
function drawTug(net) {
  const rows = dataRows(state, 0), pulls = [];
  forward(net, rows);
  for (const t of rows) {
    const { eps, mass } = rule(t, net.Z, net.Z === 1 ? 181 : 31), p = decode({ ...t, beta: 0 }, net.Z, eps), found = headGradients("analytic", p, 1);
    for (let c = 0; c < 2 * net.Z; c++) {
      const j = c % net.Z + 1, reconstruction = mass.reduce((sum, m, i) => sum + m * found[i * 2 * net.Z + c], 0);
      pulls.push({ kl: t.beta * (c < net.Z ? t[`mu${j}`] : 0.5 * Math.expm1(t[`v${j}`])), reconstruction, mean: c < net.Z, hollow: j === 2 });
    }
  }
  const R = Math.max(0.3, ...pulls.map(({ kl, reconstruction }) => Math.max(Math.abs(kl), Math.abs(reconstruction)))) * 1.1;
  const chart = axes($("tug"), [-R, R], [-R, R], { xLabel: "the KL's pull", yLabel: "the reconstruction's pull" });
  line(chart, [[-R, R], [R, -R]], color("edge"), [3, 4]);
  for (const { kl, reconstruction, mean, hollow } of pulls) dot(chart, [kl, reconstruction], color(mean ? "train" : "test"), hollow);
  legend(chart, [["● μ", color("value")], ["● v", color("test")]]);
  const off = Math.max(...pulls.map(({ kl, reconstruction }) => Math.abs(kl + reconstruction)));
  const words = `A point for μ and v of each example${net.Z === 2 ? ", hollow for the second latent" : ""}. On the dashed line the two balance. The largest sum is ${format(off, 3)}.`;
  put($("tug-said"), words);
  $("tug").setAttribute("aria-label", words);
}

// log p(x | z) + log p(z) on a grid of z, up to a constant.
function logPosterior(t, Z, grid) {
  const eps = Z === 1 ? Float64Array.from(grid) : Float64Array.from(grid.flatMap(a => grid.flatMap(b => [a, b])));
  const { nll, z } = decode({ ...t, mu1: 0, mu2: 0, v1: 0, v2: 0, beta: 0 }, Z, eps);
  return nll.map((cost, i) => -cost - 0.5 * (z[i * Z] ** 2 + (Z === 2 ? z[i * Z + 1] ** 2 : 0)));
}

function drawLine(rows) {
  const grid = Array.from({ length: 121 }, (_, i) => (i - 60) / 20), chart = axes($("codes"), [-3, 3], [0, DATA.length + 0.6], { xLabel: sign("z1", 1), yLabel: "examples", yTicks: [] });
  rows.forEach((t, i) => {
    const log = logPosterior(t, 1, grid), top = Math.max(...log), p = log.map(each => Math.exp(each - top)), area = p.reduce((a, b) => a + b, 0) / 20;
    const q = grid.map(z => Math.exp(-0.5 * ((z - t.mu1) / t.sigma1) ** 2) / t.sigma1 / Math.sqrt(2 * Math.PI));
    line(chart, grid.map((z, k) => [z, i + Math.min(1.5, 0.9 * q[k])]), color("train"));
    line(chart, grid.map((z, k) => [z, i + Math.min(1.5, 0.9 * p[k] / area)]), color("test"), [4, 3]);
  });
  return chart;
}

// Where the surface on a square grid crosses the level, cell by cell (marching squares without the ambiguous cases).
function contour({ c, x, y }, grid, values, level) {
  const n = grid.length;
  c.beginPath();
  for (let i = 0; i + 1 < n; i++) for (let k = 0; k + 1 < n; k++) {
    const corners = [[i, k], [i + 1, k], [i + 1, k + 1], [i, k + 1]], cross = [];
    corners.forEach(([a, b], e) => {
      const [a2, b2] = corners[(e + 1) % 4], u = values[a * n + b] - level, w = values[a2 * n + b2] - level;
      if (u * w < 0) cross.push([grid[a] + u / (u - w) * (grid[a2] - grid[a]), grid[b] + u / (u - w) * (grid[b2] - grid[b])]);
    });
    if (cross.length === 2) { c.moveTo(x(cross[0][0]), y(cross[0][1])); c.lineTo(x(cross[1][0]), y(cross[1][1])); }
  }
  c.stroke();
}

function drawPlane(rows) {
  const grid = Array.from({ length: 49 }, (_, i) => (i - 24) / 8), chart = axes($("codes"), [-3, 3], [-3, 3], { ratio: 1.1, xLabel: "z₁", yLabel: "z₂" }), { c, x, y } = chart;
  for (const t of rows) {
    const log = logPosterior(t, 2, grid);
    c.strokeStyle = color("test");
    c.setLineDash([4, 3]);
    contour(chart, grid, log, log.reduce((a, b) => Math.max(a, b)) - 0.5);
    c.setLineDash([]);
    c.strokeStyle = color("train");
    c.lineWidth = 2;
    c.beginPath();
    c.ellipse(x(t.mu1), y(t.mu2), Math.abs(x(t.sigma1) - x(0)), Math.abs(y(t.sigma2) - y(0)), 0, 0, 7);
    c.stroke();
    dot(chart, [t.mu1, t.mu2], color("train"), false, 3);
  }
  return chart;
}

function drawCodes(net) {
  const rows = dataRows(state, 0);
  forward(net, rows);
  legend(net.Z === 1 ? drawLine(rows) : drawPlane(rows), [["q(z|x)", color("value")], ["p(z|x) – –", color("test")]]);
  const words = (net.Z === 1 ? "One row an example, from (0, 1) below to (1, 0) above" : "Both one deviation wide, for a Gaussian")
    + `: q, which the encoder says, and the true posterior, which the decoder implies. Where two pixels do not pay for a code, q collapses to the prior: try β = 0.1.`;
  put($("codes-said"), words);
  $("codes").setAttribute("aria-label", words);
}

onChange(() => {
  if (document.activeElement !== $("rate")) $("rate").value = Math.log10(state.rate);
  $("optimizer").value = state.optimizer;
  put($("rate-out"), format(state.rate, 3));
  put($("trained"), `step ${run?.step ?? 0}`);
});
onRest($("train"), ({ net }) => {
  current();
  drawParts();
  drawTug(net);
  drawCodes(net);
});
