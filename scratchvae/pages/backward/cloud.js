// The cloud: 1,000 draws of every estimator's gradient at the present setting, around the exact expectation.
import { $, color, format, make, put, sheet } from "../shared/page.js";
import { axes, legend, line } from "./charts.js";
import { slider } from "./controls.js";
import { decode, ESTIMATORS, expectedOfBound, headGradients, moments, normals, paired } from "./estimators.js";
import { change, onChange, onRest, state } from "./state.js";
import { sign } from "./words.js";

const DRAWS = 1000, SAMPLES = [1, 2, 4, 8, 16, 32, 64], BINS = 36;
const noise = {}, panels = {};
let later = 0;

const controls = $("cloud-controls"), knob = make("span", controls, { class: "knob" }), label = make("label", knob, { for: "samples" }, "K samples a draw ");
const samplesOut = make("output", label), samples = make("input", knob, { type: "range", id: "samples", min: 0, max: 6, step: 1 });
samples.addEventListener("input", () => change({ samples: SAMPLES[samples.value] }));
const showBaseline = slider(controls, "baseline", () => "baseline b of the score function", () => "baseline", 0.1);
const latent = make("select", make("label", controls, {}, "Latent "), { id: "latent" });
for (const value of [1, 2]) make("option", latent, { value }, value);
latent.addEventListener("change", () => change({ latent: Number(latent.value) }));
const common = make("input", make("label", controls, {}, "one scale for all "), { type: "checkbox", id: "common" });
common.addEventListener("change", () => change({ common: Number(common.checked) }));
make("button", controls, { id: "redraw" }, "Draw again").addEventListener("click", () => change({ seed: state.seed % 1e6 + 1 }));
for (const name in ESTIMATORS) {
  const panel = make("div", $("clouds"), { class: "panel" }), { label: called, tag } = ESTIMATORS[name];
  make("h3", panel, {}, `${called} (${tag})`);
  panels[name] = { canvas: make("canvas", panel, { role: "img", id: `cloud-${name}`, "aria-label": `1,000 gradients by ${called}` }), said: make("p", panel, { class: "small" }) };
}

// Draws of a setting, for estimators that share them: gradients with K samples a draw. Antithetic draws need an even number.
function drawer(t) {
  const decoded = {};
  return (name, K) => {
    const { paired: pairs } = ESTIMATORS[name], own = pairs ? Math.max(2, K) : K, key = `${state.seed} ${own} ${state.Z}`;
    noise[key] ??= normals(DRAWS * own * state.Z, state.seed);
    const p = decoded[`${pairs} ${own}`] ??= decode(t, state.Z, pairs ? paired(noise[key], own, state.Z) : noise[key]);
    return { K: own, found: headGradients(name, p, own, state.baseline) };
  };
}

function drawCloud(name, found, exact, { mean }, R) {
  const { canvas, said } = panels[name], { context: c, width, height } = sheet(canvas, 1.35), n = exact.length, a = state.latent - 1, b = state.Z + a, unit = (height - 56) / 2 / R;
  const x = value => width / 2 - 14 + (value - exact[a]) * unit, y = value => height / 2 - 14 - (value - exact[b]) * unit, right = width - 30, bottom = height - 30;
  const across = new Float64Array(BINS), up = new Float64Array(BINS);
  let outside = 0;
  c.strokeStyle = color("line");
  c.strokeRect(0.5, 0.5, right, bottom);
  c.fillStyle = color("test");
  c.globalAlpha = 0.45;
  for (let i = 0; i < found.length; i += n) {
    const px = x(found[i + a]), py = y(found[i + b]);
    if (px > 0 && px < right) across[Math.floor(px / right * BINS)]++;
    if (py > 0 && py < bottom) up[Math.floor(py / bottom * BINS)]++;
    if (px > 0 && px < right && py > 0 && py < bottom) c.fillRect(px - 1.3, py - 1.3, 2.6, 2.6); else outside++;
  }
  c.globalAlpha = 1;
  c.fillStyle = color("train");
  const top = Math.max(...across, ...up);
  across.forEach((count, i) => c.fillRect(i * right / BINS + 0.5, bottom + 2, right / BINS - 1, 26 * count / top));
  up.forEach((count, i) => c.fillRect(right + 2, i * bottom / BINS + 0.5, 26 * count / top, bottom / BINS - 1));
  c.strokeStyle = color("ink");
  c.lineWidth = 1.6;
  c.beginPath();
  c.arc(x(exact[a]), y(exact[b]), 8, 0, 7);
  const [mx, my] = [x(mean[a]), y(mean[b])];
  for (const [dx, dy] of [[6, 0], [0, 6]]) { c.moveTo(mx - dx, my - dy); c.lineTo(mx + dx, my + dy); }
  c.stroke();
  c.fillStyle = color("muted");
  c.textAlign = "right";
  c.fillText(`d_${sign(`mu${state.latent}`, state.Z)} →`, right - 5, bottom - 6);
  c.textAlign = "left";
  c.fillText(`↑ d_${sign(`v${state.latent}`, state.Z)}`, 6, 16);
  c.fillText(`frame: ± ${format(R, 2)}`, 6, bottom - 6);
  const words = `mean ${format(mean[a], 3)}, ${format(mean[b], 3)}; exact ${format(exact[a], 3)}, ${format(exact[b], 3)}` + (outside ? `; ${outside} outside` : "");
  put(said, words);
  canvas.setAttribute("aria-label", `1,000 gradients by ${ESTIMATORS[name].label}: ${words}`);
}

function reach(found, exact, share) {
  const n = exact.length, off = [];
  for (let i = 0; i < found.length; i += n) off.push(Math.max(...[state.latent - 1, state.Z + state.latent - 1].map(c => Math.abs(found[i + c] - exact[c]))));
  return off.sort((p, q) => p - q)[Math.floor(share * (off.length - 1))] || 1e-3;
}

function all(step) {
  const t = step.at, draw = drawer(t), results = {}, K = state.samples, elbo = expectedOfBound(t, state.Z, 1), bound = expectedOfBound(t, state.Z, K);
  for (const name in ESTIMATORS) {
    const { K: own, found } = draw(name, K), exact = ESTIMATORS[name].weighed ? bound : elbo;
    results[name] = { K: own, found, exact, ...moments(found, exact) };
  }
  const shared = 1.1 * Math.max(...["monte_carlo", "analytic", "iwae"].map(name => reach(results[name].found, results[name].exact, 0.98)));
  const table = $("moments");
  table.replaceChildren();
  const head = make("tr", make("thead", table)), body = make("tbody", table);
  for (const words of ["estimator", "K", "bias", "variance", "signal/noise"]) make("th", head, { scope: "col" }, words);
  for (const name in results) {
    const found = results[name], row = make("tr", body);
    drawCloud(name, found.found, found.exact, found, state.common ? shared : 1.1 * reach(found.found, found.exact, 0.99));
    make("td", row, {}, ESTIMATORS[name].label);
    for (const words of [found.K, format(found.biasZ, 1), found.variance.toPrecision(3), format(found.signal, 3)]) make("td", row, {}, String(words));
  }
  make("caption", table, { class: "small" }, "Bias of the mean of 1,000 draws in standard errors; variance summed over d_μ and d_v.");
  clearTimeout(later);
  signals(t);
}

// Signal-to-noise for all K, one K a task, so that a drag never waits for it.
function signals(t) {
  const names = ["monte_carlo", "score_function", "iwae", "dreg"], found = Object.fromEntries(names.map(name => [name, []])), { Z } = state, elbo = expectedOfBound(t, Z, 1);
  const next = i => {
    if (i < SAMPLES.length) {
      const draw = drawer(t), bound = expectedOfBound(t, Z, SAMPLES[i]);
      for (const name of names) {
        const exact = ESTIMATORS[name].weighed ? bound : elbo;
        found[name].push([Math.log2(SAMPLES[i]), Math.log2(moments(draw(name, SAMPLES[i]).found, exact).signal)]);
      }
      later = setTimeout(() => next(i + 1), 0);
      return;
    }
    const ys = Object.values(found).flat().map(([, y]) => y).filter(Number.isFinite), low = Math.floor(Math.min(...ys)), high = Math.ceil(Math.max(...ys) + 0.01);
    const chart = axes($("signal"), [0, 6], [low, high], { xTicks: [0, 1, 2, 3, 4, 5, 6], yTicks: Array.from({ length: Math.floor((high - low) / 2) + 1 }, (_, i) => low + 2 * i),
      xLabel: "K", write: power => String(Number((2 ** power).toPrecision(2))) });
    const styles = { monte_carlo: [color("muted"), [6, 4]], score_function: [color("muted"), [2, 3]], iwae: [color("bad"), []], dreg: [color("ok"), []] };
    for (const name of names) line(chart, found[name], ...styles[name]);
    legend(chart, [["Monte Carlo – –", color("muted")], ["score ···", color("muted")], ["IWAE", color("bad")], ["DReG", color("ok")]]);
    const ends = name => [0, 6].map(i => format(2 ** found[name][i][1], 3)).join(" to "), fails = found.dreg[6][1] < found.dreg[0][1] - 0.5;
    const words = `From K = 1 to 64 IWAE's goes from ${ends("iwae")}, DReG's from ${ends("dreg")}. ` + (fails
      ? "DReG's falls, too, where q is narrower than the posterior: then its weights have hardly a variance to average. Raise c of v."
      : "The better the bound, the less IWAE's gradient tells the encoder; DReG's keeps telling.");
    put($("signal-said"), words);
    $("signal").setAttribute("aria-label", words);
  };
  next(0);
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
onRest($("cloud"), all);
