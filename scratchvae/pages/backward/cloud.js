// The cloud: 1,000 draws of every estimator's gradient at the present setting, around the exact expectation.
import { $, color, format, make, put, set, sheet, tableHead, tableRow, tiny } from "../shared/page.js";
import { choice, ONE_OR_TWO, slider } from "./controls.js";
import { ESTIMATORS, expectedOfBound, moments, quadratureError } from "./estimators.js";
import { drawer, drawSignal } from "./signal.js";
import { change, onChange, onRest, SAMPLES, state } from "./state.js";
import { sign } from "./words.js";

const BINS = 36;
const small = x => (x < 1e-3 ? x.toExponential(1).replace("-", "−") : x.toPrecision(3));
const panels = {};

const controls = $("cloud-controls");
const knob = make("span", controls, { class: "knob" });
const label = make("label", knob, { for: "samples" }, "K samples a draw ");
const samplesOut = make("output", label);
const samples = make("input", knob, { type: "range", id: "samples", min: 0, max: 6, step: 1 });
samples.addEventListener("input", () => change({ samples: SAMPLES[samples.value] }));
const ofScore = () => "baseline b of the score function";
const showBaseline = slider(controls, "baseline", ofScore, () => "baseline", 0.1);
const latent = choice(controls, "latent", "Latent", ONE_OR_TWO, value => change({ latent: Number(value) }));
const common = make("input", make("label", controls, {}, "one scale for all "), { type: "checkbox", id: "common" });
common.addEventListener("change", () => change({ common: Number(common.checked) }));
const again = make("button", controls, { id: "redraw" }, "Draw again");
again.addEventListener("click", () => change({ seed: (state.seed % 1e6) + 1 }));
for (const name in ESTIMATORS) {
  const panel = make("div", $("clouds"), { class: "panel" });
  const { label: called, tag } = ESTIMATORS[name];
  make("h3", panel, {}, `${called} (${tag})`);
  panels[name] = {
    canvas: make("canvas", panel, { role: "img", id: `cloud-${name}`, "aria-label": `1,000 gradients by ${called}` }),
    said: make("p", panel, { class: "small" }),
  };
}

// One estimator's draws around the exact expectation, R to each side, and how they spread along both axes.
function drawCloud({ name, found, exact, mean }, R) {
  const { canvas, said } = panels[name];
  const { context: c, width, height } = sheet(canvas, 1.35);
  const n = exact.length;
  const a = state.latent - 1;
  const b = state.Z + a;
  const unit = (height - 56) / 2 / R;
  const x = value => width / 2 - 14 + (value - exact[a]) * unit;
  const y = value => height / 2 - 14 - (value - exact[b]) * unit;
  const right = width - 30;
  const bottom = height - 30;
  const across = new Float64Array(BINS);
  const up = new Float64Array(BINS);
  let outside = 0;
  c.strokeStyle = color("line");
  c.strokeRect(0.5, 0.5, right, bottom);
  c.fillStyle = color("test");
  c.globalAlpha = 0.45;
  for (let i = 0; i < found.length; i += n) {
    const px = x(found[i + a]);
    const py = y(found[i + b]);
    if (px > 0 && px < right) across[Math.floor((px / right) * BINS)]++;
    if (py > 0 && py < bottom) up[Math.floor((py / bottom) * BINS)]++;
    if (px > 0 && px < right && py > 0 && py < bottom) c.fillRect(px - 1.3, py - 1.3, 2.6, 2.6);
    else outside++;
  }
  c.globalAlpha = 1;
  c.fillStyle = color("train");
  const top = Math.max(...across, ...up);
  across.forEach((count, i) => c.fillRect((i * right) / BINS + 0.5, bottom + 2, right / BINS - 1, (26 * count) / top));
  up.forEach((count, i) => c.fillRect(right + 2, (i * bottom) / BINS + 0.5, (26 * count) / top, bottom / BINS - 1));
  c.strokeStyle = color("ink");
  c.lineWidth = 1.6;
  c.beginPath();
  c.arc(x(exact[a]), y(exact[b]), 8, 0, 7);
  c.moveTo(x(mean[a]) - 6, y(mean[b]));
  c.lineTo(x(mean[a]) + 6, y(mean[b]));
  c.moveTo(x(mean[a]), y(mean[b]) - 6);
  c.lineTo(x(mean[a]), y(mean[b]) + 6);
  c.stroke();
  c.fillStyle = color("muted");
  c.textAlign = "right";
  c.fillText(`d_${sign(`mu${state.latent}`)} →`, right - 5, bottom - 6);
  c.textAlign = "left";
  c.fillText(`↑ d_${sign(`v${state.latent}`)}`, 6, 16);
  c.fillText(`frame: ± ${format(R, 2)}`, 6, bottom - 6);
  const words =
    `mean ${format(mean[a], 3)}, ${format(mean[b], 3)}; exact ${format(exact[a], 3)}, ${format(exact[b], 3)}` +
    (outside ? `; ${outside} outside` : "");
  put(said, words);
  set(canvas, "aria-label", `1,000 gradients by ${ESTIMATORS[name].label}: ${words}`);
}

// How far this share of the draws lies from the expectation, at most, along either axis.
function reach({ found, exact }, share) {
  const n = exact.length;
  const [a, b] = [state.latent - 1, state.Z + state.latent - 1];
  const off = Float64Array.from({ length: found.length / n }, (_, i) =>
    Math.max(Math.abs(found[i * n + a] - exact[a]), Math.abs(found[i * n + b] - exact[b])),
  ).sort();
  return off[Math.floor(share * (off.length - 1))] || 1e-3;
}

function drawAll({ at: t }) {
  const { Z, samples: K } = state;
  const draw = drawer(t);
  const [elbo, bound] = [1, K].map(count => expectedOfBound(t, Z, count));
  const results = Object.entries(ESTIMATORS).map(([name, { weighed }]) => {
    const { own, found } = draw(name, K);
    const exact = weighed ? bound : elbo;
    return { name, own, found, exact, ...moments(found, exact) };
  });
  const wide = results.filter(({ name }) => name !== "score_function").map(result => reach(result, 0.98));
  const body = tableHead($("moments"), ["estimator", "K", "bias", "variance", "signal/noise"]);
  for (const result of results) {
    const { name, own, biasZ, variance, signal } = result;
    drawCloud(result, 1.1 * (state.common ? Math.max(...wide) : reach(result, 0.99)));
    tableRow(body, [ESTIMATORS[name].label, own, format(biasZ, 1), small(variance), format(signal, 3)]);
  }
  const error = quadratureError(t, Z);
  const large = error > 1e-3 ? ": the weights are too large for its nodes" : "";
  put($("exact"), `○ is exact to about ${tiny(error)}${large}.`);
  drawSignal(t);
}

onChange(() => {
  samples.value = SAMPLES.indexOf(state.samples);
  put(samplesOut, String(state.samples));
  samples.setAttribute("aria-valuetext", `K = ${state.samples}`);
  showBaseline();
  latent.value = state.latent;
  latent.parentElement.hidden = state.Z === 1;
  common.checked = state.common === 1;
});
onRest($("cloud"), drawAll);
