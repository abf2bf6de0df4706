// Rows of data as pictures, and frames for points and curves.
import { clamp, color, data, make, sheet } from "../shared/page.js";

const [ROWS, COLUMNS] = data.image_shape, HEIGHT = 32;             // rows that are no pictures are drawn as bars
export const isBars = ROWS === 1;
const dark = matchMedia("(prefers-color-scheme: dark)");

// Draws one row of data; `cursor` is the pixel that the keyboard is at.
export function picture(canvas, values, cursor = -1, low = data.low, high = data.high) {
  const rows = isBars ? HEIGHT : ROWS;
  if (canvas.width !== COLUMNS || canvas.height !== rows) {
    Object.assign(canvas, { width: COLUMNS, height: rows });
    canvas.style.aspectRatio = isBars ? "2 / 1" : `${COLUMNS} / ${ROWS}`;
  }
  const context = canvas.getContext("2d"), image = context.createImageData(COLUMNS, rows);
  for (let k = 0; k < rows * COLUMNS; k++) {
    const pixel = isBars ? k % COLUMNS : k, share = (values[pixel] - low) / (high - low);
    const gray = isBars ? (rows - 0.5 - Math.floor(k / COLUMNS) < share * rows ? 230 : 40) : 255 * clamp(share, 0, 1);
    const [base, tint] = pixel === cursor ? [0.5 * gray, 60] : [gray, 0];
    image.data.set([base, base + tint, base + 2 * tint, 255], 4 * k);
  }
  context.putImageData(image, 0, 0);
}

// n canvases for pictures.
export const gallery = (parent, n, label) => Array.from({ length: n }, (_, k) =>
  make("canvas", parent, { class: "pixels", role: "img", "aria-label": `${label} ${k + 1}` }));

// Round numbers on an axis, and each as text with the decimals that their step needs.
function ticks([low, high], most = 5) {
  const raw = (high - low) / most, ten = 10 ** Math.floor(Math.log10(raw));
  const step = ten * [1, 2, 5, 10].find(k => k * ten >= raw);
  const first = Math.ceil(low / step - 1e-9), decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, k) => (first + k) * step)
    .map(value => [value, value.toFixed(decimals).replace("-", "−").replace(/^−(0\.?0*)$/, "$1")]);
}

// A frame with labeled axes on a canvas; returns its context, and the places of x and of y in it.
export function frame(canvas, ratio, { x, y, names, at = ticks(x) }) {
  const { context, width, height } = sheet(canvas, ratio);
  const left = 46, bottom = height - 34, right = width - 20, top = 10;
  const px = value => left + (value - x[0]) / (x[1] - x[0]) * (right - left);
  const py = value => bottom - (value - y[0]) / (y[1] - y[0]) * (bottom - top);
  context.strokeStyle = color("line");
  context.fillStyle = color("muted");
  context.beginPath();
  context.textAlign = "center";
  for (const [value, text] of at) {
    context.moveTo(px(value), top);
    context.lineTo(px(value), bottom);
    context.fillText(text, px(value), bottom + 14);
  }
  context.textAlign = "right";
  for (const [value, text] of ticks(y)) {
    context.moveTo(left, py(value));
    context.lineTo(right, py(value));
    context.fillText(text, left - 5, py(value) + 4);
  }
  context.stroke();
  context.fillText(names[0], right, height - 5);
  context.textAlign = "left";
  context.fillText(names[1], left + 4, top + 12);
  return { context, px, py };
}

export function curve({ context, px, py }, points, name, dashed = []) {
  context.strokeStyle = color(name);
  context.lineWidth = 2;
  context.setLineDash(dashed);
  context.beginPath();
  for (const [x, y] of points) context.lineTo(px(x), py(y));
  context.stroke();
  context.setLineDash([]);
}

export function point({ context, px, py }, [x, y], name, radius = 6) {
  context.fillStyle = color(name);
  context.strokeStyle = color("panel");
  context.lineWidth = 2;
  context.beginPath();
  context.arc(px(x), py(y), radius, 0, 7);
  context.fill();
  context.stroke();
}

// How far from the origin a plane shows that has these codes in it.
export const reach = values => clamp(Math.ceil(1.3 * values.reduce((a, b) => Math.max(a, Math.abs(b)), 0)), 1, 4);

// Codes in a plane, each as its label, or as a dot where there are no labels; `at(i)` is the i-th code.
export function codes({ context, px, py }, n, at) {
  const known = data.labels ? [...new Set(data.labels)].sort((a, b) => a - b) : [];
  context.textAlign = "center";
  context.font = "600 11px system-ui, sans-serif";
  for (let i = 0; i < n; i++) {
    const [x, y] = at(i);
    const hue = 137 * known.indexOf(data.labels?.[i]);
    context.fillStyle = data.labels ? `hsl(${hue} 60% ${dark.matches ? 72 : 36}%)` : color("muted");
    context.fillText(data.labels ? String(data.labels[i]) : "•", px(x), py(y) + 4);
  }
}
