// The error of a plain central difference over its step h: a curve, and a slider for the step.
import { $, format, put, tell, tiny } from "../shared/page.js";
import { line } from "../shared/charts.js";
import { axes, dot } from "./charts.js";
import { central, errorOverStep } from "./differences.js";
import { change, state } from "./state.js";

const NOTHING = 1e-17;                                          // what an error of 0 is drawn as
const tick = at => [at, `1e${at}`.replace("-", "−")];
const power = error => Math.log10(Math.max(error, NOTHING));

$("h").addEventListener("input", () => change({ h: Number($("h").value) }));

// Draws the errors of differences of f at x against the gradient d, which may be wrong.
export function drawCurve({ f, x, d }, wrong) {
  const points = errorOverStep(f, x, d).map(({ h, error }) => [Math.log10(h), power(error)]);
  const high = Math.max(0, Math.ceil(Math.max(...points.map(([, y]) => y).filter(Number.isFinite))));
  const chart = axes($("curve"), [-12, 0], [-17, high], {
    ratio: 2,
    xTicks: [-12, -9, -6, -3, 0].map(tick),
    yTicks: [-15, -10, -5, 0].map(tick),
    xLabel: "h",
    yLabel: "error",
  });
  line(chart, points, "train");
  const h = 10 ** state.h;
  const value = central(f, x, h);
  const error = Math.abs(value - d);
  if (Number.isFinite(error)) dot(chart, [state.h, power(error)], "test", false, 5);
  const why = wrong
    ? "It does not fall below the fault, whatever h is."
    : points.at(-1)[1] < -10
      ? "A line or a parabola has no third derivative: there is only rounding."
      : state.h < -6
      ? "To the left rounding rules: its error grows as 1/h."
      : state.h > -3.5
        ? "To the right the third derivative rules: its error grows as h²."
        : "Near the best step for a central difference.";
  const step = h.toExponential(1).replace("-", "−");
  tell("curve", `h = ${step}: difference ${format(value, 8)}, error ${tiny(error)}. ${why}`);
  put($("h-out"), `1e${format(state.h, 1)}`);
  if (Number($("h").value) !== state.h) $("h").value = state.h;
}
