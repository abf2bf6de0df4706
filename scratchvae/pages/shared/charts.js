// Charts on a canvas: a grid with round numbers, and lines.
import { color, sheet } from "./page.js";

// About five round numbers from low to high, each with its words, which write(number, step) makes.
export function ticks([low, high], write) {
  const ten = 10 ** Math.floor(Math.log10((high - low) / 5));
  const step = ten * [1, 2, 5, 10].find(k => k * ten >= (high - low) / 5);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => (first + i) * step).map(number => [number, write(number, step)]);
}

// Clears the canvas and draws a grid at the ticks of both axes, in the room that the margins leave. Returns the context,
// the functions from numbers to pixels, and the edges of the grid.
export function grid(canvas, ratio, { x: [x0, x1], y: [y0, y1], xTicks, yTicks, margins }) {
  const { context: c, width, height } = sheet(canvas, ratio);
  const left = Math.max(46, ...yTicks.map(([, words]) => 10 + c.measureText(words).width));
  const right = width - margins.right;
  const { top } = margins;
  const bottom = height - margins.bottom;
  const x = at => left + ((at - x0) / (x1 - x0)) * (right - left);
  const y = at => bottom - ((at - y0) / (y1 - y0)) * (bottom - top);
  c.strokeStyle = color("line");
  c.fillStyle = color("muted");
  c.beginPath();
  c.textAlign = "center";
  for (const [at, words] of xTicks) {
    c.moveTo(x(at), top);
    c.lineTo(x(at), bottom);
    c.fillText(words, x(at), bottom + 15);
  }
  c.textAlign = "right";
  for (const [at, words] of yTicks) {
    c.moveTo(left, y(at));
    c.lineTo(right, y(at));
    c.fillText(words, left - 5, y(at) + 4);
  }
  c.stroke();
  return { c, x, y, left, right, top, bottom };
}

// A line through points, in the color of this name.
export function line({ c, x, y }, points, name, dash = []) {
  c.strokeStyle = color(name);
  c.lineWidth = 2;
  c.setLineDash(dash);
  c.beginPath();
  for (const [px, py] of points) c.lineTo(x(px), y(py));
  c.stroke();
  c.setLineDash([]);
}
