// Line charts and scatter plots on a canvas: axes with round numbers, and colors of the course.
import { color, format, sheet } from "../shared/page.js";

// Round numbers from low to high, about `count` of them.
export function ticks(low, high, count = 4) {
  const raw = (high - low) / count, ten = 10 ** Math.floor(Math.log10(raw)), step = ten * [1, 2, 5, 10].find(k => k * ten >= raw);
  return Array.from({ length: Math.floor(high / step) - Math.ceil(low / step) + 1 }, (_, i) => (Math.ceil(low / step) + i) * step);
}

// Clears the canvas and draws axes of [low, high]; returns the context and the functions from numbers to pixels.
export function axes(canvas, [x0, x1], [y0, y1], { ratio = 1.6, xLabel = "", yLabel = "", xTicks = ticks(x0, x1), yTicks = ticks(y0, y1), write = format } = {}) {
  const { context: c, width, height } = sheet(canvas, ratio), left = 46, right = width - 12, top = 24, bottom = height - 38;
  const x = at => left + (at - x0) / (x1 - x0) * (right - left), y = at => bottom - (at - y0) / (y1 - y0) * (bottom - top);
  c.strokeStyle = color("line");
  c.lineWidth = 1;
  c.fillStyle = color("muted");
  c.beginPath();
  c.textAlign = "center";
  for (const at of xTicks) {
    c.moveTo(x(at), top);
    c.lineTo(x(at), bottom);
    c.fillText(write(at, 2).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, ""), x(at), bottom + 15);
  }
  c.textAlign = "right";
  for (const at of yTicks) {
    c.moveTo(left, y(at));
    c.lineTo(right, y(at));
    c.fillText(write(at, 2).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, ""), left - 5, y(at) + 4);
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
  if (hollow) c.stroke(); else c.fill();
}

// Names of lines in a row at the upper right: [text, style].
export function legend({ c, right }, entries) {
  c.textAlign = "right";
  let at = right;
  for (const [text, style] of [...entries].reverse()) {
    c.fillStyle = style;
    c.fillText(text, at, 14);
    at -= c.measureText(text).width + 12;
  }
}
