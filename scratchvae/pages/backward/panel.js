// What was picked: its equation and tag, shape, the package's own line, and its gradient beside a finite difference.
import { $, color, data, format, make, put, sheet, tiny } from "../shared/page.js";
import { agrees, difference, errorOverStep, lossAlong } from "./differences.js";
import { change, onChange, rangeOf, START, state } from "./state.js";
import { localOf, rowsOf, sigmoid } from "./vae.js";
import { numbers, sign, signs } from "./words.js";

const FORMULAS = { D1: "F18", D2: "F19", D3: "F18", D4: "F18", D5: "F18", E2: "F10", E4: "F15", E5: "F17", E6: "F20", E7: "F21", E8: "F22", E9: "F23" };
const WORDS = { A: "the encoder's hidden unit before tanh", h: "the encoder's hidden unit", mu: "the mean of q(z|x)", v: "log σ² of q(z|x)", sigma: "the standard deviation of q(z|x)",
  z: "the sample of q(z|x)", klm: "the part of the KL that μ makes", kls: "the part of the KL that σ makes", C: "the decoder's hidden unit before tanh", g: "the decoder's hidden unit",
  l: "the decoder's output for a pixel", nll: "−log p(x|z), in nats", L: "the loss, the negative ELBO in nats" };
const tags = tag => FORMULAS[tag] ? `${tag}, ${FORMULAS[tag]}` : tag;
const word = name => name.replace(/\d/g, "");

function sourceOf(node) {
  return { sigma: "E2 sigma", nll: node.tag === "E8" ? "E8" : "E4 nll", klm: "E4 kl", kls: "E4 kl" }[word(node.name)] ?? node.tag;
}

function shapeOf(node) {
  const { B, K, Z } = state, rows = node.of === "nk" ? B * K : B, size = { mu: Z, v: Z, sigma: Z, z: Z, l: 2, klm: "", kls: "", nll: "" }[word(node.name)] ?? 1;
  return node.of === "" ? "a number" : size === "" ? `(${node.of === "nk" ? "B·K" : "B"},) = (${rows},)` : `(${node.of === "nk" ? "B·K" : "B"}, ${{ z: "Z", mu: "Z", v: "Z", sigma: "Z", l: "D" }[word(node.name)] ?? "H"}) = (${rows}, ${size})`;
}

// All that the panel says about a node, an edge or a parameter: title, lines, quoted equations, the gradient d, and the
// function along which the finite difference is taken.
function about(step) {
  const { net, fault } = step, { pick, Z } = state, copies = rowsOf(state), edge = net.edges.find(({ key }) => key === pick);
  copies.forEach((t, i) => Object.assign(t, step.rows[i]));
  if (edge) {
    const to = net.nodes.find(({ name }) => name === edge.to), t = { ...step.at }, f = x => (fault?.nodes?.[to.name] ?? to.f)({ ...t, [edge.from]: x });
    return { title: `the arrow from ${sign(edge.from, Z)} to ${sign(edge.to, Z)}`, quotes: [edge.tag], f, x: t[edge.from], d: localOf(edge, t, fault), of: `d_${sign(edge.to, Z)}/d_${sign(edge.from, Z)}`,
      lines: [`local derivative = ${signs(edge.text, Z)} = ${numbers(edge.text, { ...t, p1: sigmoid(t.l1), p2: sigmoid(t.l2) })}  (${tags(edge.tag)})`,
        `of ${sign(edge.to, Z)} = ${signs(to.text, Z)}  (${tags(to.tag)})`], weight: edge.weight };
  }
  const node = net.nodes.find(({ name }) => name === pick), weight = Object.hasOwn(net.parameters, pick) ? pick : null;
  if (!node && !weight) return null;
  const d = step.cotangent(pick, net.edges.length), of = `d_${sign(pick, Z)}`, x = weight ? state[pick] : step.value(pick), f = lossAlong(net, copies, fault, pick, step.where(pick));
  if (weight) {
    const users = net.edges.filter(edge => edge.weight === pick), [user] = users, bias = net.nodes.find(({ bias }) => bias === pick);
    const tag = bias ? "D4" : "D3", rule = bias ? `d_${sign(bias.name, Z)}, summed over rows` : `${sign(user.from, Z)} d_${sign(user.to, Z)}, summed over rows`;
    return { title: `${sign(pick, Z)}, ${bias ? "a bias" : "a weight"}`, quotes: [tag], d, of, x, f, weight, lines: [`${net.parameters[pick]} of the model`, `${of} = ${rule}  (${tags(tag)})`] };
  }
  const out = net.edges.filter(edge => edge.from === pick), shared = out.map(edge => `d_${sign(edge.to, Z)} × ${signs(edge.text.includes(" ") ? `(${edge.text})` : edge.text, Z)}`).join(" + ");
  const back = [...new Set(out.map(edge => edge.tag))];
  return { title: `${sign(pick, Z)}, ${WORDS[word(pick)]}`, quotes: [sourceOf(node), ...back.filter(tag => tag !== "E4")], d, of, x, f,
    lines: [`${sign(pick, Z)} = ${signs(node.text, Z)}  (${tags(node.tag)}${word(pick) === "kls" || word(pick) === "klm" ? ", F7" : ""})`, `shape ${shapeOf(node)}`,
      pick === "L" ? "d_L = 1" : `${of} = ${shared}  (${back.map(tags).join("; ")})`] };
}

function plot(found) {
  const { context: c, width, height } = sheet($("curve"), 2), left = 44, bottom = height - 26, top = 10, right = width - 10;
  const points = errorOverStep(found.f, found.x, found.d).map(({ h, error }) => [Math.log10(h), Math.log10(Math.max(error, 1e-17))]);
  const [low, high] = [-17, Math.max(0, Math.ceil(Math.max(...points.map(([, y]) => y).filter(Number.isFinite))))];
  const x = at => left + (at + 12) / 12 * (right - left), y = at => bottom - (at - low) / (high - low) * (bottom - top);
  c.fillStyle = color("muted");
  c.strokeStyle = color("line");
  c.textAlign = "center";
  for (let h = -12; h <= 0; h += 3) { c.fillText(`1e${h}`.replace("-", "−"), x(h), height - 8); c.strokeRect(x(h), top, 0, bottom - top); }
  c.textAlign = "right";
  for (let e = Math.ceil(low / 5) * 5; e <= high; e += 5) { c.fillText(`1e${e}`.replace("-", "−"), left - 5, y(e) + 4); c.strokeRect(left, y(e), right - left, 0); }
  c.strokeStyle = color("train");
  c.lineWidth = 2;
  c.beginPath();
  for (const [h, e] of points) c.lineTo(x(h), y(Math.min(high, e)));
  c.stroke();
  const h = 10 ** state.h, central = (found.f(found.x + h) - found.f(found.x - h)) / (found.x + h - (found.x - h)), error = Math.abs(central - found.d);
  c.fillStyle = color("test");
  c.beginPath();
  c.arc(x(state.h), y(Math.max(low, Math.min(high, Math.log10(Math.max(error, 1e-17))))), 5, 0, 7);
  c.fill();
  const words = `h = ${h.toExponential(1).replace("-", "−")}: difference ${format(central, 8)}, error ${tiny(error)}. ` + (found.wrong ? "It does not fall below the fault, whatever h is."
    : state.h < -6 ? "To the left rounding rules: its error grows as 1/h." : state.h > -3.5 ? "To the right the curvature rules: its error grows as h²." : "Near the best step for a central difference.");
  put($("h-said"), words);
  put($("h-out"), `1e${format(state.h, 1)}`);
  $("curve").setAttribute("aria-label", `Error over the step h. ${words}`);
}

$("h").addEventListener("input", () => change({ h: Number($("h").value) }));
let entered = null;

onChange(step => {
  const found = about(step);
  if (!found) return change({ pick: START.pick });
  const near = difference(found.f, found.x), ok = agrees(found.d, near);
  found.wrong = !ok;
  put($("picked"), found.title);
  const facts = $("facts"), typing = document.activeElement === entered && entered?.dataset.name === found.weight;
  for (const child of [...facts.children]) if (!(typing && child.contains(entered))) child.remove();
  for (const line of found.lines) make("p", facts, {}, line);
  const p = make("p", facts);
  make("span", p, { class: "d" }, `${found.of} = ${format(found.d, 8)}`);
  p.append(`; by differences ${format(near.value, 8)} ± ${tiny(near.bound)} `);
  make("span", p, { class: ok ? "ok" : "bad" }, ok ? "✓ they agree" : `✗ they differ by ${tiny(Math.abs(found.d - near.value))}`);
  if (found.weight && !typing) {
    const label = make("label", facts, { class: "row" }, `${sign(found.weight, state.Z)} = `), [min, max] = rangeOf(found.weight);
    entered = make("input", label, { type: "number", min, max, step: 0.01, value: state[found.weight], "data-name": found.weight });
    const box = entered;
    box.addEventListener("input", () => { if (box.checkValidity() && box.value !== "") change({ [box.dataset.name]: Number(box.value) }); });
  }
  for (const tag of found.quotes) {
    const { file, line, code } = data.source[tag];
    make("p", facts, { class: "small" }, `${tag.split(" ")[0]} in ${file}, line ${line}`);
    make("pre", facts, {}, code);
  }
  if (Number($("h").value) !== state.h) $("h").value = state.h;
  plot(found);
});
