// The graph: a card for every node with its value, its cotangent d and the finite difference of it, an arrow for every
// edge with its local derivative. Weights and biases are numbers that can be dragged.
import { $, format, make, put, set, tiny } from "../shared/page.js";
import { agrees, difference } from "./differences.js";
import { arrow, HALF, placesOf } from "./layout.js";
import { describe, scrubbed } from "./scrub.js";
import { change, onChange, state } from "./state.js";
import { localOf, shareOf } from "./vae.js";
import { sign, signs } from "./words.js";

const svg = $("graph");
const narrow = matchMedia("(max-width: 1119px)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const GIVEN = { x1: "pixel", x2: "pixel", eps1: "noise", eps2: "noise" };
const NOTES = { A: "x·U + a", C: "z·R + r", nll: "−log p(x|z)", L: "nll + β KL" };
const TIP = {
  viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8,
  markerUnits: "userSpaceOnUse", orient: "auto-start-reverse",
};
const { width: W, height: H, given: LOW } = HALF;
const PAD = 5;                                                  // between a card's border and its texts
let drawn = "";
let cards = {};
let arrows = [];
let frame = null;

const settingOf = name => (name.startsWith("x") ? `x${state.n}${name[1]}` : `eps${state.n}${state.k}${name[3]}`);
const classNames = flags => Object.keys(flags).filter(name => flags[name]).join(" ");
const pick = key => change({ pick: key });

function button(node, key) {
  node.setAttribute("role", "button");
  node.setAttribute("tabindex", 0);
  node.addEventListener("click", () => pick(key));
  node.addEventListener("keydown", event => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    pick(key);
  });
}

function card(name, note, bias) {
  const given = name in GIVEN;
  const g = make("g", svg, { class: given ? "card given" : "card" });
  const top = given ? -LOW : -H;
  const text = (cls, x, y, words) => make("text", g, { class: cls, x, y: top + y }, words);
  make("rect", g, { class: "box", x: -W, y: top, width: 2 * W, height: -2 * top, rx: 9 });
  text("name", PAD - W, 17, sign(name));
  text("note", PAD - W, 33, signs(note));
  const made = { g, name, value: text("v end", W - PAD, 17) };
  if (given) {
    scrubbed(g, () => settingOf(name));
    return made;
  }
  button(g, name);
  text("d", PAD - W, 55, "d");
  text("note", PAD - W, 73, "Δ");
  Object.assign(made, {
    d: text("d end", W - PAD, 55),
    difference: text("note end", W - PAD - 15, 73),
    verdict: text("verdict end", W - PAD, 73),
  });
  if (bias) {
    made.bias = make("g", svg, { class: "chip" });
    make("rect", made.bias, { x: -34, y: -9, width: 68, height: 19, rx: 9 });
    make("text", made.bias, { x: -28, y: 5 }, sign(bias));
    made.number = make("text", made.bias, { class: "v end", x: 28, y: 5 });
    made.biasName = bias;
    scrubbed(made.bias, () => bias, () => pick(bias));
  }
  return made;
}

// Builds the graph anew for another number of latents or another layout.
function build(net) {
  const places = placesOf(state.Z, narrow.matches);
  const shift = at => `translate(${at})`;
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${places.size.join(" ")}`);
  svg.setAttribute("class", state.Z === 2 ? "two" : "one");
  const tips = make("defs", svg);
  for (const id of ["tip", "back-tip", "fore-tip"])
    make("path", make("marker", tips, { id, ...TIP }), { d: "M0 0L8 4L0 8z" });
  const latents = [1, 2].slice(0, net.Z);
  const noise = latents.map(j => {
    const [from, to, text] = [`eps${j}`, `z${j}`, `sigma${j}`];
    return { from, to, text, key: "", local: t => t[text] };
  });
  arrows = [...net.edges, ...noise].map(edge => {
    const g = make("g", svg, { class: "edge" });
    const words = signs(edge.text);
    const room = Math.max(5.8 * words.length, edge.text === "1" ? 6 : 38);
    const { ends, words: at } = arrow(places, edge.from, edge.to, edge.from in GIVEN, room);
    const d = `M${ends.slice(0, 2)}L${ends.slice(2)}`;
    const line = make("path", g, { class: "line", d });
    if (edge.from.startsWith("kl")) {
      const [right, down] = places.stub.map(Boolean);
      make("text", g, { x: ends[2] + 9 * right, y: ends[3] + (down ? 14 : 4) }, "L");
    }
    const box = make("g", g, { transform: shift(at) });
    const note = make("text", box, { class: "note", y: edge.text === "1" ? 4 : -3 }, words);
    const number = make("text", box, { y: 11 });
    make("rect", box, { class: "touch", x: -24, y: -16, width: 48, height: 32 });
    if (edge.weight) {
      box.setAttribute("class", "weight");
      scrubbed(box, () => edge.weight, () => pick(edge.weight));
    }
    const named = edge.weight ? make("path", g, { class: "touch", d }) : g;          // what a click on the arrow hits
    if (edge.key) button(named, edge.key);
    else named.setAttribute("role", "img");
    return { edge, g, line, named, box, note, number };
  });
  cards = {};
  for (const name of ["x1", "x2", ...latents.map(j => `eps${j}`)]) cards[name] = card(name, GIVEN[name]);
  for (const { name, text, bias } of net.nodes)
    cards[name] = card(name, NOTES[name] ?? text.replace(/ ([−/]) /g, "$1"), bias);
  for (const name in cards) {
    cards[name].g.setAttribute("transform", shift(places[name]));
    cards[name].bias?.setAttribute("transform", shift([places[name][0], places[name][1] + H + 5]));
  }
  const around = svg.parentNode;
  around.scrollLeft = (around.scrollWidth - around.clientWidth) / 2;
}

function drawCards(step) {
  const tally = { right: 0, all: 0, worst: 0 };
  const judge = (name, d) => {
    const { f, x } = step.along(name);
    const found = difference(f, x);
    const ok = agrees(d, found);
    tally.all++;
    tally.right += ok;
    tally.worst = Math.max(tally.worst, Math.abs(d - found.value));
    return { ...found, ok };
  };
  for (const name in cards) {
    const made = cards[name];
    if (!made.d) {
      put(made.value, format(step.at[name], 4));
      describe(made.g, settingOf(name), `${sign(name)}, ${GIVEN[name]}`);
      continue;
    }
    const known = step.known(name);
    const whole = step.complete(name);
    const d = step.begun(name) ? step.cotangent(name) : NaN;
    const found = whole ? judge(name, d) : null;
    put(made.value, known ? format(step.value(name)) : "·");
    put(made.d, step.begun(name) ? format(d) : "·");
    put(made.difference, found ? format(found.value) : "·");
    put(made.verdict, !found ? "" : found.ok ? "✓" : "✗");
    set(made.verdict, "class", found && !found.ok ? "verdict end bad" : "verdict end ok");
    const now = step.now && (step.now.name === name || step.now.from === name);
    set(made.g, "class", classNames({ card: true, now, picked: state.pick === name }));
    const is = known ? ` is ${format(step.value(name))}` : "";
    const verdict = found?.ok ? "they agree" : "they differ";
    const slopes = found ? `, gradient ${format(d)}, finite difference ${format(found.value)}, ${verdict}` : "";
    set(made.g, "aria-label", `${sign(name)}${is}${slopes}`);
    if (made.bias) {
      put(made.number, format(state[made.biasName], 2));
      describe(made.bias, made.biasName, `bias ${sign(made.biasName)}`);
      set(made.bias, "class", classNames({ chip: true, picked: state.pick === made.biasName }));
    }
  }
  for (const name in step.net.parameters) if (step.complete(name)) judge(name, step.cotangent(name));
  return tally;
}

function drawArrows(step) {
  arrows.forEach(({ edge, g, named, box, note, number }, i) => {
    const walked = step.done > step.F && i < step.walked;
    const local = localOf(edge, step.at, step.fault) * shareOf(edge, state);
    const one = edge.text === "1" && local === 1;
    const into = step.done <= step.F && step.now?.name === edge.to;
    const known = step.known(edge.to) || edge.to in GIVEN;
    put(number, one || !(known || edge.weight) ? "" : format(local, edge.weight ? 2 : 3));
    if (edge.to === "L") put(note, edge.from !== "nll" ? (state.B > 1 ? "β/B" : "β") : one ? "1" : "1/BK");
    set(note, "y", one ? 4 : -3);
    const classes = {
      edge: true,
      given: edge.from in GIVEN,
      lit: !step.all && walked,
      now: step.now === edge,
      into,
      picked: state.pick === edge.key || state.pick === edge.weight,
    };
    set(g, "class", classNames(classes));
    const way = `from ${sign(edge.from)} to ${sign(edge.to)}`;
    const is = known ? ` is ${format(local, 3)}` : "";
    if (edge.weight) describe(box, edge.weight, `weight ${sign(edge.weight)} ${way}`);
    set(named, "aria-label", `${way}: local derivative ${signs(edge.text)}${is}`);
  });
}

onChange(step => {
  const shape = `${state.Z} ${state.likelihood} ${narrow.matches}`;
  if (shape !== drawn) build(step.net);
  drawn = shape;
  drawArrows(step);
  const { right, all, worst } = drawCards(step);
  $("verdict").className = right === all ? "ok" : "bad";
  put($("verdict"), all ? `${right} of ${all} gradients agree` : "");
  put($("worst"), all ? `largest |d − Δ| ${tiny(worst)}` : "");
  const now = arrows.find(({ edge }) => edge === step.now)?.line ?? cards[step.now?.name]?.g;
  if (now && now !== frame && (narrow.matches || state.Z === 2))
    now.scrollIntoView({ block: "center", inline: "center", behavior: still.matches ? "auto" : "smooth" });
  frame = now;
});
narrow.addEventListener("change", () => change({}));
