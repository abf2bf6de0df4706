// Line charts and scatter plots on a canvas: axes with round numbers, and colors of the course.
import { color, sheet } from "../shared/page.js";

// Round numbers from low to high, about five of them.
function ticks(low, high) {
  const ten = 10 ** Math.floor(Math.log10((high - low) / 5));
  const step = ten * [1, 2, 5, 10].find(k => k * ten >= (high - low) / 5);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

const short = x => String(Number(x.toPrecision(3))).replace("-", "−");

// Clears the canvas and draws axes of [low, high]; returns the context and the functions from numbers to pixels.
export function axes(
  canvas,
  [x0, x1],
  [y0, y1],
  { ratio = 1.6, xLabel = "", yLabel = "", xTicks = ticks(x0, x1), yTicks = ticks(y0, y1), write = short } = {},
) {
  const { context: c, width, height } = sheet(canvas, ratio);
  const left = 46;
  const right = width - 12;
  const top = 24;
  const bottom = height - 38;
  const x = at => left + ((at - x0) / (x1 - x0)) * (right - left);
  const y = at => bottom - ((at - y0) / (y1 - y0)) * (bottom - top);
  c.strokeStyle = color("line");
  c.fillStyle = color("muted");
  c.beginPath();
  c.textAlign = "center";
  for (const at of xTicks) {
    c.moveTo(x(at), top);
    c.lineTo(x(at), bottom);
    c.fillText(write(at), x(at), bottom + 15);
  }
  c.textAlign = "right";
  for (const at of yTicks) {
    c.moveTo(left, y(at));
    c.lineTo(right, y(at));
    c.fillText(write(at), left - 5, y(at) + 4);
  }
  c.stroke();
  c.textAlign = "center";
  c.fillText(xLabel, (left + right) / 2, height - 7);
  c.textAlign = "left";
  c.fillText(yLabel, 4, 14);
  return { c, x, y, left, right, top, bottom };
}

export function line({ c, x, y }, points, style, dash = []) {
  c.strokeStyle = style;
  c.lineWidth = 2;
  c.setLineDash(dash);
  c.beginPath();
  for (const [px, py] of points) c.lineTo(x(px), y(py));
  c.stroke();
  c.setLineDash([]);
}

export function dot({ c, x, y }, [px, py], style, hollow = false, size = 4) {
  c.beginPath();
  c.arc(x(px), y(py), size, 0, 7);
  c.fillStyle = c.strokeStyle = style;
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
