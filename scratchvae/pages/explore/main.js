// The page on a run's own model: what can be set, in the URL's fragment too, and the panels, which draw themselves.
import { $, clamp, data, format, onceAFrame, put, readFragment, writeFragment } from "../shared/page.js";
import { makeModel } from "./arithmetic.js";
import { isDrawing, labelOf, makeInput } from "./drawing.js";
import { makeDraws } from "./draws.js";
import { makeEncode, order } from "./encode.js";
import { makeFilm } from "./film.js";
import { unpack } from "./unpack.js";
import { makeWalk } from "./walk.js";

function describe() {
  const sizes = [data.image_shape.reduce((a, b) => a * b), ...data.hidden, data.n_latent].join("-");
  const [before, after] = data.loss, { levels } = data.weights, nats = loss => loss.toFixed(2).replace("-", "−");
  document.title = `Explore ${data.run}`;
  put($("run"), data.run);
  const counts = [data.weights.parameters, 2 * levels + 1, data.measured];
  const [weights, choices, examples] = counts.map(n => n.toLocaleString("en"));
  put($("about"), `A VAE of ${sizes} units (${data.activation}, ${data.likelihood.replaceAll("_", " ")}, beta `
    + `${data.beta}), trained on ${data.data}: ${weights} parameters, each weight rounded to one of ${choices} levels `
    + `(${levels > 127 ? 16 : 8} bits). The rounding moves the held-out loss by ${format(after - before, 3)}, `
    + `from ${nats(before)} to ${nats(after)} nats (${examples} examples).`);
}

function start(weights, arrays, frames) {
  const model = makeModel(data, weights), pixels = arrays.pixels.values, isBernoulli = data.likelihood === "bernoulli";
  const extreme = pixels.filter(share => Math.abs(share - 0.5) > 0.4).length > 0.75 * pixels.length;
  const pixelsAre = isBernoulli && (extreme || data.binarize !== "none") ? "two" : "gray";
  const START = { label: Number(data.n_conditions && labelOf(0)), image: 0, drawn: "", pixels: pixelsAre, z: "sample",
    seed: 1, goal: Math.min(1, data.shown.length - 1), t: 0, path: "straight", attribute: 0, a: 0, offset: "",
    across: order[0], up: order[1] ?? 0, draws: 1, frame: data.film ? data.film.steps.length - 1 : 0 };
  const RANGES = { label: data.n_conditions - 1, image: data.shown.length - 1, attribute: data.attributes.length - 1,
    across: data.n_latent - 1, up: data.n_latent - 1, frame: START.frame, seed: 1e6, draws: 1e6 };
  const WORDS = { pixels: isBernoulli ? ["gray", "two"] : ["gray"], z: ["sample", "mean"],
    path: ["straight", "spherical"] };
  const allowed = (key, value) => {
    if (key in RANGES) return clamp(Math.round(value), 0, Math.max(0, RANGES[key]));
    if (key in WORDS) return WORDS[key].includes(value) ? value : undefined;
    if (key === "drawn") return isDrawing(value) ? value : undefined;
    if (key === "goal") return clamp(Math.round(value), -1, RANGES.image);
    return key === "t" ? clamp(value, 0, 1) : key === "a" ? clamp(value, -2, 2) : value;
  };
  for (let y = 0; y < data.n_conditions; y++) $("label").add(new Option(y, y));
  const state = readFragment(START, allowed), panels = [];
  const controls = ["label", "pixels", "z", "goal", "t", "path", "attribute", "a", "across", "up", "frame"];
  const draw = onceAFrame(() => {
    for (const key of controls) if ($(key).value !== String(state[key])) $(key).value = state[key];
    model.y = state.label;
    const x = input.now(), isDensity = !isBernoulli || x.every(value => value === 0 || value === 1);
    input.draw(x);
    const now = { x, q: model.encode(x), isDensity };
    for (const panel of panels) panel.draw(now);
  });
  const change = patch => { Object.assign(state, patch); writeFragment(state, START); draw(); };
  const input = makeInput({ arrays, state, change }), shared = { model, arrays, state, change, input, frames };
  panels.push(makeEncode(shared), makeWalk(shared), makeDraws(shared), makeFilm(shared));
  const read = key => typeof START[key] === "number" ? Number($(key).value) : $(key).value;
  for (const key of controls) $(key).oninput = () => change({ [key]: read(key) });
  $("pixels-box").hidden = !isBernoulli;
  $("label-box").hidden = !data.n_conditions;
  addEventListener("hashchange", () => { Object.assign(state, readFragment(START, allowed)); draw(); });
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").onchange = draw;
  $("page").hidden = false;
  draw();
}

describe();
Promise.all([unpack(data.weights), unpack(data.arrays), data.film && unpack(data.film.arrays)])
  .then(found => start(...found))
  .catch(error => {
    put($("about"), `This browser cannot unpack the model (${error.message}). Take one of 2023 or later.`);
    throw error;
  });
