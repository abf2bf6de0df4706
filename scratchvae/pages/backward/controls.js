// The bar's sliders for what is given, and the switches below the graph.
import { $, format, make, put } from "../shared/page.js";
import { change, onChange, rangeOf, START, state } from "./state.js";
import { sign } from "./words.js";

// A labeled select; `options` are words by their values, and `chosen` is called with the value that is chosen.
export function choice(parent, id, label, options, chosen) {
  const select = make("select", make("label", parent, {}, `${label} `), { id });
  for (const value in options) make("option", select, { value }, options[value]);
  select.addEventListener("change", () => chosen(select.value));
  return select;
}

export const ONE_OR_TWO = { 1: "1", 2: "2" };
const SWITCHES = { Z: "Latents", B: "Batch B", K: "Samples K", n: "Example", k: "Sample" };
const selects = {};
for (const key in SWITCHES) {
  const chosen = value => change({ [key]: Number(value), step: -1 });
  selects[key] = choice($("switches"), `switch-${key}`, SWITCHES[key], ONE_OR_TWO, chosen);
}
const PIXELS = { bernoulli: "Bernoulli", gaussian: "Gaussian" };
const choosePixels = likelihood => change({ likelihood, fault: "", step: -1 });
selects.likelihood = choice($("switches"), "switch-likelihood", "Pixels", PIXELS, choosePixels);
$("reset").addEventListener("click", () => change(START));

// A slider of the setting nameOf(), with its label; returns the function that shows its value.
export function slider(parent, id, labelOf, nameOf, step = 0.01) {
  const knob = make("div", parent, { class: "knob" });
  const label = make("label", knob, { for: id });
  const text = make("span", label);
  const out = make("output", label, { for: id });
  const input = make("input", knob, { type: "range", id, step });
  input.addEventListener("input", () => change({ [nameOf()]: Number(input.value) }));
  return () => {
    const name = nameOf();
    const [low, high] = rangeOf(name);
    knob.hidden = !(name in state);
    input.min = low;
    input.max = high;
    if (Number(input.value) !== state[name]) input.value = state[name];
    put(text, labelOf());
    put(out, format(state[name], 2));
  };
}

const given = [
  ["x1", () => `x${state.n}1`],
  ["x2", () => `x${state.n}2`],
  ["eps1", () => `eps${state.n}${state.k}1`],
  ["eps2", () => `eps${state.n}${state.k}2`],
  ["beta", () => "beta"],
].map(([name, setting]) => [name, slider($("givens"), `given-${name}`, () => sign(name), setting)]);

onChange(() => {
  for (const [, show] of given) show();
  $("given-eps2").parentElement.hidden = state.Z === 1;
  for (const key in selects) selects[key].value = state[key];
  selects.n.parentElement.hidden = state.B === 1;
  selects.k.parentElement.hidden = state.K === 1;
});
