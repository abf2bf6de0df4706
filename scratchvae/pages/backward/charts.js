// What the charts of this page have in common: axes with names, points, and names of lines.
import { color } from "../shared/page.js";
import { grid, ticks } from "../shared/charts.js";

const short = x => String(Number(x.toPrecision(3))).replace("-", "−");

// A chart with numbers at round places, or at those that are given, and the names of both axes.
export function axes(canvas, x, y, options = {}) {
  const { ratio = 1.6, xLabel = "", yLabel = "", xTicks = ticks(x, short), yTicks = ticks(y, short) } = options;
  const chart = grid(canvas, ratio, { x, y, xTicks, yTicks, margins: { top: 24, right: 12, bottom: 38 } });
  const { c, left, right, bottom } = chart;
  c.textAlign = "center";
  c.fillText(xLabel, (left + right) / 2, bottom + 31);
  c.textAlign = "left";
  c.fillText(yLabel, 4, 14);
  return chart;
}

export function dot({ c, x, y }, [px, py], name, hollow = false, size = 4) {
  c.beginPath();
  c.arc(x(px), y(py), size, 0, 7);
  c.fillStyle = c.strokeStyle = color(name);
  c.lineWidth = 1.6;
  if (hollow) c.stroke();
  else c.fill();
}

// Names of lines in a row at the upper right: {text: name of a color}.
export function legend({ c, right }, entries) {
  let at = right;
  c.textAlign = "right";
  for (const [text, name] of Object.entries(entries).reverse()) {
    c.fillStyle = color(name);
    c.fillText(text, at, 14);
    at -= c.measureText(text).width + 12;
  }
}
