// The film of the training: rate against distortion, codes and draws, from the first step to the last.
import { $, data, format, player, put, set } from "../shared/page.js";
import { line } from "../shared/charts.js";
import { codes, frame, gallery, picture, point, reach } from "./pictures.js";

const { film, history } = data, last = film ? film.steps.length - 1 : 0;

const span = values => {
  const [low, high] = [Math.min(...values), Math.max(...values)], pad = 0.06 * (high - low) || 1;
  return [low - pad, high + pad];
};

export function makeFilm({ frames, state, change }) {
  const points = (film ? film.losses : history).map(([distortion, rate]) => [rate, distortion]);
  for (const id of ["reel", "codes-box", "draws-box"]) $(id).hidden = !film;
  $("no-film").hidden = Boolean(film);
  $("film").hidden = !points.length;
  let canvases = [];
  const go = k => change({ frame: k });
  if (film) {
    canvases = gallery($("film-draws"), frames.draws.shape[1], "Draw");
    $("frame").max = last;
    put($("replayed"), "The training was repeated from its seed, " + (film.same ? "and ended in the bits of this run."
      : "but did not end in the bits of this run: another machine or backend trained it, or --resume changed it."));
    const begin = () => { if (state.frame >= last) go(0); };
    const stop = player($("play"), () => state.frame < last ? go(state.frame + 1) : stop(), 300, begin);
  }
  return { draw() {
    if (!points.length) return;
    const k = film ? state.frame : points.length - 1, [rate, distortion] = points[k];
    const axes = frame($("plane"), 1, { x: span(points.map(p => p[0])), y: span(points.map(p => p[1])),
      names: ["rate, KL in nats", "distortion, nats"] });
    line(axes, points, "train");
    point(axes, points[k], "test");
    const [step, steps] = film ? [film.steps[k], film.steps[last]].map(n => n.toLocaleString("en")) : [];
    const text = `${film ? `Step ${step} of ${steps}` : `Epoch ${k + 1}`}: `
      + `rate ${format(rate, 2)}, distortion ${format(distortion, 2)} nats`;
    put($("moment"), text);
    set($("frame"), "aria-valuetext", text);
    set($("plane"), "aria-label", `Distortion over rate in training; ${text}`);
    if (!film) return;
    const { values, shape: [, n, width] } = frames.codes;
    const at = i => values.subarray((k * n + i) * width, (k * n + i + 1) * width);
    const side = reach(values), names = [`z${film.axes[0] + 1}`, width > 1 ? `z${film.axes[1] + 1}` : ""];
    const plane = frame($("film-codes"), 1, { x: [-side, side], y: [-side, side], names });
    codes(plane, n, i => width > 1 ? at(i) : [at(i)[0], side * (1 - 2 * (i + 0.5) / n)]);
    const size = frames.draws.shape[2];
    canvases.forEach((canvas, i) => {
      const start = (k * canvases.length + i) * size;
      picture(canvas, frames.draws.values.subarray(start, start + size).map(gray => film.low + gray));
    });
  } };
}
