// The picture that goes in: a held-out row, or what mouse, finger or keyboard make of it.
import { $, clamp, data, make, set } from "../shared/page.js";
import { isBars, picture } from "./pictures.js";

const [ROWS, COLUMNS, DEPTH = 1] = data.image_shape, SIZE = ROWS * COLUMNS * DEPTH;
const LEVELS = 15, BRUSH = Math.max(0.5, Math.max(ROWS, COLUMNS) / 18);
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };     // row, column
const value = share => data.low + (data.high - data.low) * share;
const shareOf = v => clamp((v - data.low) / (data.high - data.low), 0, 1);

// A drawing in the fragment: a hexadecimal digit a pixel, runs of four or more as digit_length.
const toText = levels => Array.from(levels, level => level.toString(16)).join("")
  .replace(/(.)\1{3,}/g, (run, digit) => `${digit}_${run.length}.`);
const toLevels = text => Uint8Array.from(text.replace(/(.)_(\d{1,6})\./g, (_, digit, n) => digit.repeat(n)),
  digit => parseInt(digit, 16));
export const isDrawing = text => /^([\da-f]|_\d{1,6}\.)*$/.test(text) && toLevels(text).length === SIZE;

export const labelOf = k => Number(data.labels[data.shown[k]]);            // of a model that is given it
export const rowName = k => `held-out image ${data.shown[k]}`
  + (data.labels ? `, label ${data.labels[data.shown[k]]}` : "");

export function makeInput({ arrays, state, change }) {
  const { values, shape: [n] } = arrays.pixels;
  const rows = Array.from({ length: n }, (_, k) => values.slice(k * SIZE, (k + 1) * SIZE).map(value));
  const middle = value(0.5), canvas = $("x");
  const inked = x => state.pixels === "two" ? x.map(v => v > middle ? data.high : data.low) : x;
  const drawn = () => Float64Array.from(toLevels(state.drawn), level => value(level / LEVELS));
  const plain = () => state.drawn ? drawn() : rows[state.image];
  let cursor = -1;

  const thumbs = rows.map((row, k) => {
    const button = make("button", $("shown"), { class: "thumb", "aria-label": rowName(k) });
    picture(make("canvas", button, { class: "pixels" }), row);
    button.onclick = () => change({ image: k, drawn: "", ...data.n_conditions && { label: labelOf(k) } });
    return button;
  });

  function paint(row, column, erase) {
    const levels = Uint8Array.from(plain(), v => Math.round(LEVELS * shareOf(v)));
    if (isBars) levels[clamp(Math.floor(column), 0, COLUMNS - 1)] = Math.round(LEVELS * clamp(1 - row, 0, 1));
    else for (let i = 0; i < SIZE; i++) {
      const pixel = Math.floor(i / DEPTH);
      const distance = Math.hypot(Math.floor(pixel / COLUMNS) + 0.5 - row, pixel % COLUMNS + 0.5 - column);
      const ink = Math.round(LEVELS * clamp(BRUSH + 0.5 - distance, 0, 1));
      levels[i] = erase ? Math.min(levels[i], LEVELS - ink) : Math.max(levels[i], ink);
    }
    change({ drawn: toText(levels) });
  }

  let last = null;
  const erasing = () => $("erase").getAttribute("aria-pressed") === "true";
  canvas.onpointerdown = event => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    canvas.onpointermove(event);
  };
  canvas.onpointermove = event => {
    if (!event.buttons) return;
    const box = canvas.getBoundingClientRect(), down = (event.clientY - box.top) / box.height;
    const here = [isBars ? down : down * ROWS, (event.clientX - box.left) / box.width * COLUMNS];
    const parts = last && !isBars ? Math.ceil(Math.hypot(here[0] - last[0], here[1] - last[1])) || 1 : 1;
    const from = last ?? here;
    for (let k = 1; k <= parts; k++) {
      paint(...here.map((end, axis) => from[axis] + (end - from[axis]) * k / parts), erasing());
    }
    last = here;
  };
  canvas.onkeydown = event => {
    const inks = event.key === " " || event.key === "Backspace";
    const by = inks ? [0, 0] : ARROWS[event.key];
    if (!by) return;
    event.preventDefault();
    if (cursor < 0) cursor = isBars ? 0 : Math.floor(ROWS / 2) * COLUMNS + Math.floor(COLUMNS / 2);
    const row = Math.floor(cursor / COLUMNS), column = cursor % COLUMNS;
    if (isBars && by[0]) paint(1 - shareOf(plain()[column]) + by[0] / LEVELS, column);
    else if (inks && !isBars) paint(row + 0.5, column + 0.5, event.key === "Backspace");
    cursor = isBars ? clamp(column + by[1], 0, COLUMNS - 1)
      : clamp(row + by[0], 0, ROWS - 1) * COLUMNS + clamp(column + by[1], 0, COLUMNS - 1);
    change({});
  };
  canvas.onblur = () => { cursor = -1; change({}); };
  $("erase").onclick = () => set($("erase"), "aria-pressed", !erasing());
  $("erase").hidden = isBars;
  $("clear").onclick = () => change({ drawn: toText(new Uint8Array(SIZE)) });

  return {
    rows: () => rows.map(inked),
    now: () => inked(plain()),
    draw(x) {
      picture(canvas, x, cursor);
      set(canvas, "aria-label", `x, ${state.drawn ? "your drawing" : rowName(state.image)}. Arrow keys move, `
        + (isBars ? "up and down change the value" : "space paints, backspace erases"));
      thumbs.forEach((button, k) => set(button, "aria-pressed", !state.drawn && k === state.image));
    },
  };
}
