// Break it: a fault of the museum in the graph, the wrong gradient beside the right one, what detects it, its curve.
import { $, data, format, make, put, tableHead, tableRow, tell } from "../shared/page.js";
import { line } from "../shared/charts.js";
import { axes, legend } from "./charts.js";
import { CHECKS } from "./checks.js";
import { FAULTS } from "./faults.js";
import { change, onChange, onRest, state } from "./state.js";
import { start, trainStep } from "./training.js";
import { gradient, rowsOf } from "./vae.js";
import { sign } from "./words.js";

const STEPS = 300;
const SMOOTH = 30;

make("option", $("fault"), { value: "" }, "none");
const seen = make("optgroup", $("fault"), { label: "A gradient check sees these" });
const unseen = make("optgroup", $("fault"), { label: "Loss and gradient agree" });
for (const name in FAULTS)
  make("option", data.museum[name].diagnosis ? seen : unseen, { value: name }, name.replace(/_/g, " "));
$("fault").addEventListener("change", () => {
  const fault = $("fault").value;
  change({ fault, step: -1, ...FAULTS[fault]?.needs });
});

function story({ what, seen_in: seen, symptom, detected_by: by, diagnosis }) {
  const told = {
    What: what,
    "Seen in": seen,
    Symptom: symptom,
    "The package's museum detects it by": by.join(", "),
    "The hint of its gradient check": diagnosis && `… ${diagnosis} …`,
  };
  $("story").replaceChildren();
  for (const title in told) {
    if (!told[title]) continue;
    make("h3", $("story"), {}, title);
    make("p", $("story"), { class: "small" }, told[title]);
  }
}

function compare(net, fault) {
  const [right, wrong] = [null, fault].map(planted => gradient(net, rowsOf(state), planted).gradient);
  const body = tableHead($("wrong"), ["", "right", "wrong", "ratio"]);
  let same = true;
  for (const name in right) {
    const off = Math.abs(right[name] - wrong[name]) > 1e-12 * Math.max(1, Math.abs(right[name]));
    const ratio = off && right[name] ? format(wrong[name] / right[name], 2) : "";
    tableRow(body, [`d_${sign(name)}`, format(right[name]), format(wrong[name]), ratio], ["", off ? "bad" : ""]);
    same &&= !off;
  }
  put($("planted"), same ? "It changes nothing at this setting: move β, ε or the weights, or take B = 2." : "");
}

function showChecks(net, fault) {
  $("checks").replaceChildren();
  for (const name in CHECKS) {
    const found = CHECKS[name](net, state, fault);
    tableRow($("checks"), [name, found || "finds nothing"], [found ? "bad" : ""]);
  }
}

// The reported loss of STEPS steps of Adam, each point the mean of the last SMOOTH.
function lossCurve(net, fault) {
  const settings = { ...state, optimizer: "adam", rate: 0.03 };
  const losses = [];
  let now = start(net, state);
  for (let i = 0; i < STEPS; i++) {
    const { next, reconstruction, kl } = trainStep(settings, now, fault);
    losses.push(reconstruction + state.beta * kl);
    now = next;
  }
  return losses.map((_, i) => {
    const latest = losses.slice(Math.max(0, i + 1 - SMOOTH), i + 1);
    return [i, latest.reduce((a, b) => a + b, 0) / latest.length];
  });
}

function curves(net, fault) {
  const [right, wrong] = [null, fault].map(planted => lossCurve(net, planted));
  const all = [...right, ...wrong].map(([, loss]) => loss).filter(Number.isFinite);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const room = 0.05 * (high - low) + 1e-9;
  const chart = axes($("curves"), [0, STEPS], [low - room, high + room], { xLabel: "step", yLabel: "reported loss" });
  line(chart, right, "train");
  line(chart, wrong, "test", [6, 4]);
  legend(chart, { right: "value", "with the fault – –": "test" });
  const [first, last, other] = [wrong[0][1], wrong.at(-1)[1], right.at(-1)[1]];
  const verdict = !(last < first)
    ? "Here the curve gives it away."
    : Math.abs(last - other) < 0.02 * Math.abs(other)
      ? "It falls as it should, and gives nothing away."
      : last < other
        ? "It looks better than the right one, and is not."
        : "It falls. Without the right curve beside it, who would know?";
  const ends = `from ${format(first, 3)} to ${format(last, 3)}; the right one ends at ${format(other, 3)}`;
  tell("curves", `With the fault the reported loss, a mean of ${SMOOTH} steps, goes ${ends}. ${verdict}`);
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
  showChecks(net, fault);
  curves(net, fault);
});
