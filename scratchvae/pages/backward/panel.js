// What was picked: its equation and tag, shape, the package's own line, and its gradient beside a finite difference.
import { $, data, format, make, put, tiny } from "../shared/page.js";
import { drawCurve } from "./curve.js";
import { agrees, difference } from "./differences.js";
import { change, onChange, rangeOf, START, state } from "./state.js";
import { localOf, sigmoid } from "./vae.js";
import { factor, numbers, sign, signs } from "./words.js";

// The course's formulas (demos/README.md) beside the package's equations.
const FORMULAS = {
  D1: "F18", D2: "F19", D3: "F18", D4: "F18", D5: "F18",
  E2: "F10", E4: "F15", E5: "F17", E6: "F20", E7: "F21", E8: "F22", E9: "F23",
};
// What a node is, the letter of its columns, and the statement that computes it where its tag alone does not say.
const NODES = {
  A: ["the encoder's hidden unit before tanh", "H"],
  h: ["the encoder's hidden unit", "H"],
  mu: ["the mean of q(z|x)", "Z"],
  v: ["log σ² of q(z|x)", "Z"],
  sigma: ["the standard deviation of q(z|x)", "Z", "E2 sigma"],
  z: ["the sample of q(z|x)", "Z"],
  klm: ["the part of the KL that μ makes, F7", "", "E4 kl"],
  kls: ["the part of the KL that σ makes, F7", "", "E4 kl"],
  C: ["the decoder's hidden unit before tanh", "H"],
  g: ["the decoder's hidden unit", "H"],
  l: ["the decoder's output for a pixel", "D"],
  nll: ["−log p(x|z), in nats", "", "E4 nll"],
  L: ["the loss, the negative ELBO in nats", ""],
};
const about = name => NODES[name.replace(/\d/, "")];
const tags = list => `  (${[list].flat().map(tag => (FORMULAS[tag] ? `${tag}, ${FORMULAS[tag]}` : tag)).join("; ")})`;

function shapeOf({ name, of }) {
  if (of === "") return "a number";
  const [, letter] = about(name);
  const { B, K, Z } = state;
  const [rows, size] = [of === "nk" ? "B·K" : "B", { H: 1, Z, D: 2 }[letter]];
  const count = of === "nk" ? B * K : B;
  return letter ? `(${rows}, ${letter}) = (${count}, ${size})` : `(${rows},) = (${count},)`;
}

// What the panel says about an edge, a node or a parameter: a title, lines, the statements to quote, the gradient d and
// its name, and the function f at x whose slope it is; `weight` is the parameter that can be typed.
function edgeFacts({ net, at, fault }, edge) {
  const { name, text, tag, f } = net.nodes.find(node => node.name === edge.to);
  const worked = numbers(edge.text, { ...at, p1: sigmoid(at.l1), p2: sigmoid(at.l2) });
  return {
    title: `the arrow from ${sign(edge.from)} to ${sign(name)}`,
    lines: [
      `local derivative = ${signs(edge.text)} = ${worked}${tags(edge.tag)}`,
      `of ${sign(name)} = ${signs(text)}${tags(tag)}`,
    ],
    quotes: [edge.tag],
    name: `d_${sign(name)}/d_${sign(edge.from)}`,
    d: localOf(edge, at, fault),
    f: value => (fault?.nodes?.[name] ?? f)({ ...at, [edge.from]: value }),
    x: at[edge.from],
    weight: edge.weight,
  };
}

function gradientFacts(step, name) {
  return { name: `d_${sign(name)}`, d: step.cotangent(name, step.net.edges.length), ...step.along(name) };
}

function nodeFacts(step, node) {
  const [what, , statement] = about(node.name);
  const out = step.net.edges.filter(edge => edge.from === node.name);
  const back = [...new Set(out.map(edge => edge.tag))];
  const sum = out.map(edge => `d_${sign(edge.to)} × ${factor(edge.text)}`).join(" + ");
  return {
    ...gradientFacts(step, node.name),
    title: `${sign(node.name)}, ${what}`,
    lines: [
      `${sign(node.name)} = ${signs(node.text)}${tags(node.tag)}`,
      `shape ${shapeOf(node)}`,
      out.length ? `d_${sign(node.name)} = ${sum}${tags(back)}` : "d_L = 1",
    ],
    quotes: [node.tag === "E8" ? "E8" : statement ?? node.tag, ...back.filter(tag => tag !== "E4")],
  };
}

function parameterFacts(step, name) {
  const owner = step.net.nodes.find(({ bias }) => bias === name);
  const user = step.net.edges.find(({ weight }) => weight === name);
  const rule = owner ? `d_${sign(owner.name)}` : `${sign(user.from)} d_${sign(user.to)}`;
  const tag = owner ? "D4" : "D3";
  return {
    ...gradientFacts(step, name),
    title: `${sign(name)}, ${owner ? "a bias" : "a weight"}`,
    lines: [`${step.net.parameters[name]} of the model`, `d_${sign(name)} = ${rule}, summed over rows${tags(tag)}`],
    quotes: [tag],
    weight: name,
  };
}

function factsOf(step) {
  const { net } = step;
  const edge = net.edges.find(({ key }) => key === state.pick);
  const node = net.nodes.find(({ name }) => name === state.pick);
  if (edge) return edgeFacts(step, edge);
  if (node) return nodeFacts(step, node);
  return Object.hasOwn(net.parameters, state.pick) ? parameterFacts(step, state.pick) : null;
}

const typed = $("typed");
typed.addEventListener("input", () => {
  const { rangeOverflow, rangeUnderflow } = typed.validity;
  if (typed.value !== "" && !rangeOverflow && !rangeUnderflow) change({ [typed.dataset.name]: Number(typed.value) });
});

// The box in which a parameter can be typed; what is being typed is left alone.
function showBox(weight) {
  typed.parentElement.hidden = !weight;
  if (!weight) return;
  put($("typed-name"), `${sign(weight)} =`);
  [typed.min, typed.max] = rangeOf(weight);
  if (document.activeElement !== typed || typed.dataset.name !== weight) typed.value = Number(state[weight].toFixed(4));
  typed.dataset.name = weight;
}

onChange(step => {
  const found = factsOf(step);
  if (!found) return change({ pick: START.pick });
  const near = difference(found.f, found.x);
  const ok = agrees(found.d, near);
  put($("picked"), found.title);
  showBox(found.weight);
  $("facts").replaceChildren();
  for (const line of found.lines) make("p", $("facts"), {}, line);
  const p = make("p", $("facts"));
  make("span", p, { class: "d" }, `${found.name} = ${format(found.d, 8)}`);
  p.append(`; by differences ${format(near.value, 8)} ± ${tiny(near.bound)} `);
  const verdict = ok ? "✓ they agree" : `✗ they differ by ${tiny(Math.abs(found.d - near.value))}`;
  make("span", p, { class: ok ? "ok" : "bad" }, verdict);
  for (const tag of found.quotes) {
    const { file, line, code } = data.source[tag];
    make("p", $("facts"), { class: "small" }, `${tag.split(" ")[0]} in ${file}, line ${line}`);
    make("pre", $("facts"), {}, code);
  }
  drawCurve(found, !ok);
});
