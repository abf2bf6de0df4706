// Break it: a fault of the museum in the graph; the wrong gradient beside the right one, who convicts it, and its curve.
import { $, color, data, format, make, put } from "../shared/page.js";
import { axes, legend, line } from "./charts.js";
import { CHECKS } from "./checks.js";
import { FAULTS } from "./faults.js";
import { change, onChange, onRest, state } from "./state.js";
import { start, trainStep } from "./training.js";
import { gradient, rowsOf } from "./vae.js";
import { sign } from "./words.js";

const STEPS = 300;

make("option", $("fault"), { value: "" }, "none");
for (const [title, inside] of [["A gradient check sees these", true], ["Loss and gradient agree", false]]) {
  const group = make("optgroup", $("fault"), { label: title });
  for (const name in FAULTS) if (data.museum[name] && (data.museum[name].diagnosis !== "") === inside) make("option", group, { value: name }, name.replace(/_/g, " "));
}
$("fault").addEventListener("change", () => {
  const fault = $("fault").value;
  change({ fault, step: -1, ...(FAULTS[fault]?.bernoulli ? { likelihood: "bernoulli" } : {}), ...(fault === "beta_not_in_gradient" && state.beta === 1 ? { beta: 2.5 } : {}),
    ...(fault === "kl_averaged_twice" ? { B: 2 } : {}) });
});

function story({ what, seen_in: seen, symptom, detected_by: by, diagnosis }) {
  $("story").replaceChildren();
  for (const [title, words] of [["What", what], ["Seen in", seen], ["Symptom", symptom], ["The package's museum convicts it by", by.join(", ")],
    ["The hint of its gradient check", diagnosis && `… ${diagnosis} …`]]) {
    if (!words) continue;
    make("h3", $("story"), {}, title);
    make("p", $("story"), { class: "small" }, words);
  }
}

function compare(net, fault) {
  const right = gradient(net, rowsOf(state)).gradient, wrong = gradient(net, rowsOf(state), fault).gradient, table = $("wrong");
  table.replaceChildren();
  const head = make("tr", make("thead", table)), body = make("tbody", table);
  for (const words of ["", "right", "wrong", "ratio"]) make("th", head, { scope: "col" }, words);
  let same = true;
  for (const name in right) {
    const off = Math.abs(right[name] - wrong[name]) > 1e-12 * Math.max(1, Math.abs(right[name])), row = make("tr", body);
    same &&= !off;
    make("td", row, {}, `d_${sign(name, state.Z)}`);
    make("td", row, {}, format(right[name]));
    make("td", row, off ? { class: "bad" } : {}, format(wrong[name]));
    make("td", row, {}, off && right[name] ? format(wrong[name] / right[name], 2) : "");
  }
  put($("planted"), same ? "It changes nothing at this setting: move β, ε or the weights, or take B = 2." : "");
}

function convict(net, fault) {
  $("checks").replaceChildren();
  for (const name in CHECKS) {
    const found = CHECKS[name](net, state, fault), row = make("tr", make("tbody", $("checks")));
    make("th", row, { scope: "row" }, name);
    make("td", row, { class: found ? "bad" : "" }, found || "finds nothing");
  }
}

function curves(net, fault) {
  const settings = { ...state, optimizer: "adam", rate: 0.03 }, run = (planted) => {
    const points = [];
    for (let now = start(net, state), i = 0; i < STEPS; i++) {
      const { next, reconstruction, kl } = trainStep(net, settings, now, planted);
      points.push([i, reconstruction + state.beta * kl]);
      now = next;
    }
    return points.map(([i], k) => [i, points.slice(Math.max(0, k - 29), k + 1).reduce((sum, [, loss]) => sum + loss, 0) / Math.min(30, k + 1)]);
  };
  const right = run(null), wrong = run(fault), all = [...right, ...wrong].map(([, y]) => y).filter(Number.isFinite), low = Math.min(...all), high = Math.max(...all);
  const chart = axes($("curves"), [0, STEPS], [low - 0.05 * (high - low), high + 0.05 * (high - low) + 1e-9], { xLabel: "step", yLabel: "reported loss, mean of 30 steps" });
  line(chart, right, color("train"));
  line(chart, wrong, color("test"), [6, 4]);
  legend(chart, [["right", color("value")], ["with the fault – –", color("test")]]);
  const [[, first]] = wrong, last = wrong.at(-1)[1], other = right.at(-1)[1];
  const words = `With the fault the reported loss goes from ${format(first, 3)} to ${format(last, 3)}; the right one ends at ${format(other, 3)}. ` +
    (!(last < first) ? "Here the curve gives it away." : Math.abs(last - other) < 0.02 * Math.abs(other) ? "It falls as it should, and gives nothing away." : last < other ? "It looks better than the right one, and is not."
      : "It falls. Without the right curve beside it, who would know?");
  put($("fine"), words);
  $("curves").setAttribute("aria-label", words);
}

onChange(({ fault }) => {
  $("fault").value = state.fault;
  $("broken").hidden = !fault;
  if (!fault) put($("planted"), "The graph is right.");
});
onRest($("break"), ({ net, fault }) => {
  if (!fault) return;
  story(data.museum[state.fault]);
  compare(net, fault);
  convict(net, fault);
  curves(net, fault);
});
