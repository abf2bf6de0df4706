// Rows of data as pictures, and frames for points and curves.
import { clamp, color, data, make } from "../shared/page.js";
import { grid, ticks } from "../shared/charts.js";

const [ROWS, COLUMNS, DEPTH = 1] = data.image_shape, HEIGHT = 32;      // rows that are no pictures are drawn as bars
export const isBars = ROWS === 1 && DEPTH === 1;
const dark = matchMedia("(prefers-color-scheme: dark)");

// Draws one row of data; `cursor` is the pixel that the keyboard is at.
export function picture(canvas, values, cursor = -1) {
  const rows = isBars ? HEIGHT : ROWS;
  if (canvas.width !== COLUMNS || canvas.height !== rows) {
    Object.assign(canvas, { width: COLUMNS, height: rows });
    canvas.style.aspectRatio = isBars ? "2 / 1" : `${COLUMNS} / ${ROWS}`;
  }
  const context = canvas.getContext("2d"), image = context.createImageData(COLUMNS, rows);
  for (let k = 0; k < rows * COLUMNS; k++) {
    const pixel = isBars ? k % COLUMNS : k;
    for (let c = 0; c < 3; c++) {
      const share = (values[pixel * DEPTH + c % DEPTH] - data.low) / (data.high - data.low);
      const isFull = rows - 0.5 - Math.floor(k / COLUMNS) < share * rows;
      const level = isBars ? (isFull ? 230 : 40) : 255 * clamp(share, 0, 1);
      image.data[4 * k + c] = pixel === cursor ? 0.5 * level + 60 * c : level;
    }
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// n canvases for pictures.
export const gallery = (parent, n, label) => Array.from({ length: n }, (_, k) =>
  make("canvas", parent, { class: "pixels", role: "img", "aria-label": `${label} ${k + 1}` }));

const decimal = (value, step) => value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))
  .replace("-", "−").replace(/^−(0\.?0*)$/, "$1");

// A chart with the names of both axes.
export function frame(canvas, ratio, { x, y, names, at = ticks(x, decimal) }) {
  const margins = { top: 10, right: 20, bottom: 34 };
  const chart = grid(canvas, ratio, { x, y, xTicks: at, yTicks: ticks(y, decimal), margins });
  const { c, left, right, top, bottom } = chart;
  c.fillText(names[0], right, bottom + 29);
  c.textAlign = "left";
  c.fillText(names[1], left + 4, top + 12);
  return chart;
}

export function point({ c, x, y }, [px, py], name, radius = 6) {
  c.fillStyle = color(name);
  c.strokeStyle = color("panel");
  c.lineWidth = 2;
  c.beginPath();
  c.arc(x(px), y(py), radius, 0, 7);
  c.fill();
  c.stroke();
}

// How far from the origin a plane shows that has these codes in it.
export const reach = values => clamp(Math.ceil(1.3 * values.reduce((a, b) => Math.max(a, Math.abs(b)), 0)), 1, 4);

// Codes in a plane, each as its label, or as a dot where there are no labels; `at(i)` is the i-th code.
export function codes({ c, x, y }, n, at) {
  const known = data.labels ? [...new Set(data.labels)].sort((a, b) => a - b) : [];
  c.textAlign = "center";
  c.font = "600 11px system-ui, sans-serif";
  for (let i = 0; i < n; i++) {
    const [px, py] = at(i);
    const hue = 137 * known.indexOf(data.labels?.[i]);
    c.fillStyle = data.labels ? `hsl(${hue} 60% ${dark.matches ? 72 : 36}%)` : color("muted");
    c.fillText(data.labels ? String(data.labels[i]) : "•", x(px), y(py) + 4);
  }
}
