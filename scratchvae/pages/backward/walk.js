// Forward and back, one arrow at a time: the buttons, the multiplication written out with its numbers, and the questions.
import { $, clamp, format, make, put } from "../shared/page.js";
import { change, compute, onChange, state } from "./state.js";
import { localOf } from "./vae.js";
import { bracket, numbers, sign, signs } from "./words.js";

let timer = 0, asking = null;
const score = { right: 0, asked: 0 };

// The different values of d(to), with a row that has each, among the rows that `where` names.
function distinct(step, to, where) {
  const of = step.net.nodes.find(node => node.name === to).of, seen = new Map();
  for (const t of step.rows) if (where(t)) {
    const key = of === "" ? "" : of === "n" ? `${t.n}` : `${t.n} ${t.k}`;
    const sum = step.rows.reduce((all, u, i) => all + (of === "" || u.n === t.n && (of === "n" || u.k === t.k) ? step.d[i][to] : 0), 0);
    if (!seen.has(key)) seen.set(key, { t, d: of === "" ? 1 : sum });
  }
  return [...seen.values()];
}

function forwardWords(step, { name, text }) {
  const of = name === "L" && step.rows.length > 1 ? `mean of ${step.rows.map(t => format(t.L)).join(" and ")}` : numbers(text, step.at);
  return [[name, ` = ${signs(text, state.Z)} = ${of} = `, format(step.value(name))]];
}

function backwardWords(step, { from, to, text, weight }) {
  const { Z } = state, lines = [], before = step.walked > 0 && step.net.edges.slice(0, step.walked - 1).some(edge => edge.from === from);
  const share = to === "L" ? 1 / state.B / (from === "nll" ? state.K : 1) : 1, per = share === 1 ? "" : from === "nll" ? " / (BK)" : " / B";
  if (step.net.nodes.some(node => node.name === from)) {
    const products = distinct(step, to, step.where(from)).map(({ t, d }) => `${bracket(d)} × ${bracket(localOf({ from, to, local: step.now.local, key: step.now.key }, t, step.fault) * share)}`);
    const so = before ? step.cotangent(from, step.walked - 1) : null;
    lines.push([`d ${from}`, ` = ${before ? "so far + " : ""}d_${sign(to, Z)} × ${signs(text.includes(" ") && !per ? `(${text})` : text, Z)}${per} = ${before ? `${format(so)} + ` : ""}${products.join(" + ")} = `,
      format(step.cotangent(from))]);
  }
  if (weight) {
    const products = distinct(step, to, () => true).map(({ t, d }) => `${bracket(d)} × ${bracket(t[from])}`);
    lines.push([`d ${weight}`, ` = d_${sign(to, Z)} × ${sign(from, Z)} = ${products.join(" + ")} = `, format(step.cotangent(weight))]);
    const bias = step.net.nodes.find(node => node.name === to).bias;
    if (step.complete(bias)) lines.push([`d ${bias}`, ` = d_${sign(to, Z)} = `, format(step.cotangent(bias))]);
  }
  return lines;
}

function words(step) {
  if (step.all) return [["", "Forward computes the nodes, one at a time. Back walks the chain rule from the loss to the weights, one arrow at a time.", ""]];
  if (!step.done) return [["", "Nothing is computed yet. What is given: the pixels, the noise, the weights and β.", ""]];
  return step.done <= step.F ? forwardWords(step, step.now) : backwardWords(step, step.now);
}

const name = ([subject]) => subject.startsWith("d ") ? `d_${sign(subject.slice(2), state.Z)}` : subject && sign(subject, state.Z);

// The next number: after `to` steps, with what it is called.
function next(to) {
  const saved = state.step;
  state.step = to;
  const step = compute(), node = to <= step.F ? step.net.nodes[to - 1] : null, edge = node ? null : step.net.edges[to - step.F - 1];
  const target = node ? node.name : edge.from.startsWith("x") ? edge.weight : edge.from, found = { to, target, node, edge, value: node ? step.value(target) : step.cotangent(target) };
  state.step = saved;
  return found;
}

function advance(to) {
  const { last } = compute();
  if (to > last) return change({ step: -1 });
  if (state.ask === "no" || to < 1) return change({ step: to });
  asking = next(to);
  const { node, edge, target } = asking, called = sign(target, state.Z);
  put($("asked"), (node ? `Next: ${called} = ${signs(node.text, state.Z)}.` : edge.weight === target ? `Next: d_${called} = d_${sign(edge.to, state.Z)} × ${sign(edge.from, state.Z)}.`
    : `Next: d_${called}, after the arrow with ${signs(edge.text, state.Z)} from ${sign(edge.to, state.Z)} back to ${called}.`) + (state.ask === "sign" ? " Its sign?" : " Its number?"));
  $("signs").hidden = state.ask !== "sign";
  $("guess").hidden = state.ask !== "number";
  $("question").hidden = false;
  $("guessed").value = "";
  (state.ask === "sign" ? $("signs").firstElementChild : $("guessed")).focus();
}

$("question").addEventListener("submit", event => {
  event.preventDefault();
  if (!asking) return;
  const { value, to, target } = asking, shown = Number(format(value).replace("−", "-"));
  const guess = state.ask === "sign" ? Number(event.submitter.value) : parseFloat($("guessed").value);
  const right = state.ask === "sign" ? Math.sign(shown) === guess : Math.abs(guess - value) <= Math.max(0.005, 0.02 * Math.abs(value));
  score.asked++;
  score.right += right;
  $("score").hidden = false;
  $("score").className = right ? "small ok" : "small bad";
  put($("score"), `${right ? "Right" : "No"}: it is ${format(value)}. Your score: ${score.right} of ${score.asked}.`);
  stopAsking();
  change({ step: to });
  $(to <= compute().F ? "forward" : "back").focus();
});

function stopAsking() {
  asking = null;
  $("question").hidden = true;
}

function stop() {
  clearInterval(timer);
  timer = 0;
  put($("play"), "Play");
}

const F = () => compute().F;
const onward = { forward: () => state.step < 0 || state.step >= F() ? (state.step === F() ? F() + 1 : 1) : state.step + 1, back: () => state.step < F() ? F() + 1 : state.step + 1 };
for (const id of ["forward", "back"]) $(id).addEventListener("click", () => { stop(); advance(onward[id]()); });
$("undo").addEventListener("click", () => { stop(); stopAsking(); change({ step: state.step < 0 ? compute().last : Math.max(0, Math.min(state.step, compute().last) - 1) }); });
$("all").addEventListener("click", () => { stop(); stopAsking(); change({ step: -1 }); });
$("ask").addEventListener("change", () => { stop(); stopAsking(); change({ ask: $("ask").value }); });
$("play").addEventListener("click", () => {
  if (timer) return stop();
  const tick = () => state.step >= compute().last ? stop() : change({ step: clamp(state.step + 1, 1, 99) });
  stopAsking();
  change({ step: state.step < 0 || state.step >= compute().last ? 1 : state.step + 1 });
  timer = setInterval(tick, 1100);
  put($("play"), "Pause");
});

onChange(step => {
  const lines = words(step), key = JSON.stringify(lines.map(name)) + JSON.stringify(lines);
  if ($("ask").value !== state.ask) $("ask").value = state.ask;
  $("undo").disabled = state.step === 0;
  if ($("said").dataset.key === key) return;
  $("said").dataset.key = key;
  $("said").replaceChildren();
  for (const line of lines) {
    const p = make("p", $("said"));
    make("b", p, { class: line[0].startsWith("d ") ? "d" : "v" }, name(line));
    p.append(line[1]);
    make("b", p, { class: line[0].startsWith("d ") ? "d" : "v" }, line[2]);
  }
});
