// What all pages share: elements, numbers as text, a canvas that fits its place, and the state in the URL's fragment.

export const $ = id => document.getElementById(id);

export const data = JSON.parse($("data").textContent);

// An element, of SVG if its parent is; attributes, then text.
export function make(tag, parent, attributes = {}, text = "") {
  const isSvg = parent instanceof SVGElement;
  const node = isSvg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text) node.textContent = text;
  parent.append(node);
  return node;
}

// Writes only what changes: a drag sets hundreds of texts and attributes, most of them as they were.
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function set(node, key, value) {
  if (node.getAttribute(key) !== String(value)) node.setAttribute(key, value);
}

// Says in words what a canvas shows: below it, and to screen readers.
export function tell(id, words) {
  put($(`${id}-said`), words);
  set($(id), "aria-label", words);
}

// Adds a row to a table, the first of its words as a header; returns the cells of the others.
export function tableRow(table, [first, ...rest], classes = []) {
  const row = make("tr", table);
  make("th", row, { scope: "row" }, first);
  return rest.map((words, i) => make("td", row, { class: classes[i] ?? "" }, String(words)));
}

export function tableHead(table, words) {
  table.replaceChildren();
  const row = make("tr", make("thead", table));
  for (const word of words) make("th", row, { scope: "col" }, word);
  return make("tbody", table);
}

// A number in at most `digits` decimals, fewer if it is large; with a real minus sign.
export function format(x, digits = 4) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "NaN" : x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  if (size >= 1e6) return x.toExponential(2).replace("e+", "e").replace(/-/g, "−");
  const text = x.toFixed(Math.max(0, digits - [10, 100, 1000].filter(limit => size >= limit).length));
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

// The size of an error: one digit and a power of ten.
export const tiny = x => (x === 0 ? "0" : x.toExponential(0).replace("-", "−"));

export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

export const color = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// The drawing context of a canvas of `ratio` width to height, cleared, in CSS pixels; and its width and height.
export function sheet(canvas, ratio) {
  const width = canvas.clientWidth;
  const height = Math.round(width / ratio);
  const scale = devicePixelRatio;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, sans-serif";
  context.lineWidth = 1;
  return { context, width, height };
}

// Calls draw once before the next picture, however often it is asked.
export function onceAFrame(draw) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      draw();
    });
  };
}

// Makes a button play and pause: a click calls `begin`, then `step` every `pause` ms. Returns what stops it.
export function player(button, step, pause, begin = () => {}) {
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    put(button, "Play");
  };
  button.addEventListener("click", () => {
    if (timer) return stop();
    begin();
    timer = setInterval(step, pause);
    put(button, "Pause");
  });
  return stop;
}

// State in the fragment: only what differs from `start`. Values are numbers or strings; `allowed(key, value)` returns a
// usable value, or undefined for nonsense, which is then left at its start.
export function readFragment(start, allowed) {
  const found = new URLSearchParams(location.hash.slice(1));
  const state = { ...start };
  for (const key of Object.keys(start)) {
    if (!found.has(key)) continue;
    const text = found.get(key);
    const value = typeof start[key] === "number" ? parseFloat(text) : text;
    state[key] = (Number.isNaN(value) ? undefined : allowed(key, value)) ?? start[key];
  }
  return state;
}

let writing = 0;
export function writeFragment(state, start) {
  // browsers refuse to be told a hundred times a second
  clearTimeout(writing);
  writing = setTimeout(() => {
    const changed = Object.keys(start).filter(key => state[key] !== start[key]);
    const short = value => (typeof value === "number" ? Number(value.toFixed(4)) : value);
    history.replaceState(null, "", `#${new URLSearchParams(changed.map(key => [key, short(state[key])]))}`);
  }, 250);
}
