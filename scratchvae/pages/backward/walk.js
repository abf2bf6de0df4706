// Forward and back, one arrow at a time: the buttons, and the multiplication written out with its numbers.
import { $, format, make, player } from "../shared/page.js";
import { ask, stopAsking } from "./questions.js";
import { change, compute, onChange, state } from "./state.js";
import { localOf, shareOf, sharing, total } from "./vae.js";
import { bracket, factor, numbers, sign, signs } from "./words.js";

const ALL = "Forward computes one node after the other. Back walks the chain rule from the loss to the weights.";
const NONE = "Nothing is computed yet. What is given: the pixels, the noise, the weights and β.";

// d(to) x local for every different d(to) among the rows that `where` names, as text; local is a function of a row.
function products(step, to, where, local) {
  const { net, rows, cotangents } = step;
  const of = net.nodes.find(({ name }) => name === to).of;
  const first = rows.filter((t, i) => where(t) && rows.findIndex(u => where(u) && sharing(net, to, t.n, t.k)(u)) === i);
  return first
    .map(t => {
      const d = of === "" ? 1 : total(rows, cotangents, to, sharing(net, to, t.n, t.k));
      return `${bracket(d)} × ${bracket(local(t))}`;
    })
    .join(" + ");
}

// A line of what is said: the subject, what it equals in signs and in numbers, and the result.
function forwardLine(step, { name, text }) {
  const all = step.rows.map(t => format(t.L));
  const worked = name === "L" && all.length > 1 ? `the mean of ${all.join(" and ")}` : numbers(text, step.at);
  return [sign(name), signs(text), worked, step.value(name)];
}

function backwardLines(step, edge) {
  const { from, to, text, weight } = edge;
  const { net, fault } = step;
  const lines = [];
  if (net.nodes.some(({ name }) => name === from)) {
    const before = net.edges.slice(0, step.walked - 1).some(other => other.from === from);
    const divided = to !== "L" || step.rows.length === 1 ? "" : from === "nll" ? " / (BK)" : " / B";
    const worked = products(step, to, step.where(from), t => localOf(edge, t, fault) * shareOf(edge, state));
    const soFar = before ? [`so far + `, `${format(step.cotangent(from, step.walked - 1))} + `] : ["", ""];
    const formula = `${soFar[0]}d_${sign(to)} × ${factor(text)}${divided}`;
    lines.push([`d_${sign(from)}`, formula, soFar[1] + worked, step.cotangent(from)]);
  }
  if (weight) {
    const everywhere = () => true;
    const worked = products(step, to, everywhere, t => t[from]);
    lines.push([`d_${sign(weight)}`, `d_${sign(to)} × ${sign(from)}`, worked, step.cotangent(weight)]);
    const { bias } = net.nodes.find(({ name }) => name === to);
    if (step.complete(bias)) lines.push([`d_${sign(bias)}`, `d_${sign(to)}`, "", step.cotangent(bias)]);
  }
  return lines;
}

const linesOf = step => (step.done <= step.F ? [forwardLine(step, step.now)] : backwardLines(step, step.now));

function go(to) {
  stop();
  stopAsking();
  change({ step: to > compute().last ? -1 : to });
}

// The next step of the whole walk, which begins anew after its end.
const isAtEnd = () => state.step < 0 || state.step >= compute().last;
const next = () => (isAtEnd() ? 1 : state.step + 1);

function onward(to) {
  if (state.ask === "no" || to > compute().last) return go(to);
  stop();
  ask(to, () => linesOf(compute(to))[0]);
}

$("forward").addEventListener("click", () => onward(next()));
$("back").addEventListener("click", () => onward(Math.max(state.step, compute().F) + 1));
$("undo").addEventListener("click", () => go(Math.max(0, compute().done - 1)));
$("all").addEventListener("click", () => go(-1));
$("ask").addEventListener("change", () => {
  stopAsking();
  change({ ask: $("ask").value });
});
const stop = player($("play"), () => (isAtEnd() ? stop() : change({ step: next() })), 1100, () => go(next()));

onChange(step => {
  const resting = step.all ? ALL : step.now ? "" : NONE;
  const lines = resting ? [] : linesOf(step);
  const key = resting + JSON.stringify(lines);
  $("ask").value = state.ask;
  $("undo").disabled = state.step === 0;
  if ($("said").dataset.key === key) return;
  $("said").dataset.key = key;
  $("said").replaceChildren(resting);
  for (const [name, formula, worked, value] of lines) {
    const p = make("p", $("said"));
    const style = { class: name.startsWith("d_") ? "d" : "v" };
    make("b", p, style, name);
    p.append(` = ${formula} = ${worked && `${worked} = `}`);
    make("b", p, style, format(value));
  }
});
