// Walks in the latent space: on the way to another picture, along an attribute vector, by a pad for two latents and by
// sliders for all. Decoded is z = the way from mu(x) to the goal at t, plus a times the vector, plus the offsets.
import { $, clamp, data, format, make, put, set, tableRow } from "../shared/page.js";
import { between } from "./arithmetic.js";
import { labelOf, rowName } from "./drawing.js";
import { order } from "./encode.js";
import { codes, frame, picture, point, reach } from "./pictures.js";

const Z = data.n_latent, ORIGIN = "the origin, the prior's mean";

// Offsets in the fragment: "3:0.5,7:-1.25", latents counted from 1.
const toOffset = text => {
  const offset = new Float64Array(Z);
  for (const [, j, by] of text.matchAll(/(\d+):(-?[\d.]+)/g)) {
    if (j >= 1 && j <= Z && isFinite(by)) offset[j - 1] = clamp(Number(by), -99, 99);
  }
  return offset;
};
const toText = offset => [...offset].map((by, j) => by && `${j + 1}:${Number(by.toFixed(3))}`)
  .filter(Boolean).join(",");

export function makeWalk({ model, arrays, state, change, input }) {
  const pad = $("pad"), vector = () => arrays.vectors.values.subarray(state.attribute * Z, (state.attribute + 1) * Z);
  const SIDE = reach(arrays.codes.values);
  let z = new Float64Array(Z);
  const move = (j, to) => {
    const offset = toOffset(state.offset);
    offset[j] += clamp(to, -SIDE, SIDE) - z[j];
    z[j] = clamp(to, -SIDE, SIDE);
    change({ offset: toText(offset) });
  };

  const sliders = order.map(j => {
    const knob = make("div", $("sliders"), { class: "knob" }), label = make("label", knob, { for: `slider${j}` });
    const name = make("span", label, {}, `z${j + 1} `), out = make("output", label, { for: `slider${j}` });
    make("small", name, {}, `${format(data.kl[j], 2)} nats`);
    const slider = make("input", knob, { id: `slider${j}`, type: "range", min: -SIDE, max: SIDE, step: 0.01 });
    slider.oninput = () => move(j, Number(slider.value));
    return { j, slider, out };
  });
  for (const axis of ["across", "up"]) for (const j of order) $(axis).add(new Option(`z${j + 1}`, j));
  $("goal").add(new Option(ORIGIN, -1));
  data.shown.forEach((_, k) => $("goal").add(new Option(rowName(k), k)));
  data.attributes.forEach((name, k) => $("attribute").add(new Option(name, k)));
  put($("marks"), data.labels ? "labels" : "dots");
  $("along").hidden = !data.attributes.length;
  $("flat").hidden = Z < 2;
  $("leak").hidden = !data.leak;
  const leaks = data.leak && data.attributes.map(name => {
    const [now, cell] = tableRow($("leaks"), [name, "", ""], ["", "bar"]);
    return { now, bar: make("i", cell) };
  });

  pad.onpointerdown = event => { pad.setPointerCapture(event.pointerId); pad.onpointermove(event); };
  pad.onpointermove = event => {
    if (!event.buttons || !axes) return;
    const box = pad.getBoundingClientRect(), [x0, x1] = [axes.x(0), axes.x(1)], [y0, y1] = [axes.y(0), axes.y(1)];
    move(state.across, (event.clientX - box.left - x0) / (x1 - x0));
    move(state.up, (event.clientY - box.top - y0) / (y1 - y0));
  };
  pad.onkeydown = event => {
    const by = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (!by) return;
    event.preventDefault();
    move(state.across, z[state.across] + by[0]);
    move(state.up, z[state.up] + by[1]);
  };
  $("home").onclick = () => change({ t: 0, a: 0, offset: "" });

  let axes = null;
  function draw({ q }) {
    const goal = state.goal < 0 ? new Float64Array(Z) : model.encode(input.rows()[state.goal],
      data.n_conditions && labelOf(state.goal)).mu;
    const v = vector(), offset = toOffset(state.offset), way = between(q.mu, goal, state.t, state.path);
    z = way.map((value, j) => value + (data.attributes.length ? state.a * v[j] : 0) + offset[j]);
    picture($("walked"), model.decode(z));
    picture($("start"), model.decode(q.mu));
    picture($("end"), model.decode(goal));
    const [far, usual] = [Math.hypot(...z), Math.sqrt(Z)].map(length => format(length, 2));
    put($("far"), `|z| = ${far}; draws from the prior lie near √Z = ${usual}.`);
    for (const { j, slider, out } of sliders) {
      if (Number(slider.value) !== z[j]) slider.value = z[j];
      put(out, format(z[j], 2));
    }
    put($("t-now"), format(state.t, 2));
    put($("a-now"), format(state.a, 2));
    leaks?.forEach(({ now, bar }, k) => {
      const change = data.leak[state.attribute][k] * state.a;
      put(now, `${change > 0.005 ? "+" : ""}${format(change, 2)}`);
      const [from, length] = [clamp(50 + Math.min(0, change) * 15, 0, 100), clamp(Math.abs(change) * 15, 0.5, 50)];
      set(bar, "style", `left:${from}%;width:${length}%`);
    });
    if (Z < 2) return;
    const known = arrays.codes.values;
    axes = frame(pad, 1, { x: [-SIDE, SIDE], y: [-SIDE, SIDE], names: [`z${state.across + 1}`, `z${state.up + 1}`] });
    codes(axes, known.length / Z, i => [known[i * Z + state.across], known[i * Z + state.up]]);
    point(axes, [clamp(z[state.across], -SIDE, SIDE), clamp(z[state.up], -SIDE, SIDE)], "ink", 8);
    set(pad, "aria-label", `Pad: z${state.across + 1} is ${format(z[state.across], 2)}, z${state.up + 1} is `
      + `${format(z[state.up], 2)}. Arrow keys move it.`);
  }
  return { draw };
}
