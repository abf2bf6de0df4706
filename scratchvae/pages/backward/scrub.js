// Numbers that are changed where they stand: by dragging them sideways, by arrow keys, or by typing.
import { clamp, format, set } from "../shared/page.js";
import { change, rangeOf, state } from "./state.js";

const PACE = 0.02; // of a drag, for each pixel; a tenth with Shift
const STEPS = { ArrowRight: 0.01, ArrowUp: 0.01, ArrowLeft: -0.01, ArrowDown: -0.01, PageUp: 0.1, PageDown: -0.1 };

const move = (name, value) => change({ [name]: Number(clamp(value, ...rangeOf(name)).toFixed(4)) });

// Makes `node` a slider of the setting nameOf(); a click that does not move calls `picked`.
export function scrubbed(node, nameOf, picked) {
  node.setAttribute("role", "slider");
  node.setAttribute("tabindex", 0);
  let start = null;
  let typed = "";
  node.addEventListener("pointerdown", event => {
    start = { x: event.clientX, value: state[nameOf()], moved: false };
    node.setPointerCapture(event.pointerId);
    event.stopPropagation();
  });
  node.addEventListener("pointermove", event => {
    if (!start) return;
    const dx = event.clientX - start.x;
    start.moved ||= Math.abs(dx) > 3;
    if (start.moved) move(nameOf(), start.value + dx * PACE * (event.shiftKey ? 0.1 : 1));
  });
  node.addEventListener("click", event => event.stopPropagation());
  node.addEventListener("pointercancel", () => {
    start = null;
  });
  node.addEventListener("pointerup", () => {
    if (start && !start.moved) picked?.();
    start = null;
  });
  node.addEventListener("keydown", event => {
    const name = nameOf();
    const [low, high] = rangeOf(name);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in STEPS) move(name, state[name] + STEPS[event.key]);
    else if (event.key === "Home" || event.key === "End") move(name, event.key === "Home" ? low : high);
    else if (/^[-.\d]$/.test(event.key)) {
      // digits add up to a number until another key or the focus goes
      typed += event.key;
      if (Number.isFinite(Number(typed))) move(name, Number(typed));
    } else if (event.key === "Enter" || event.key === " ") picked?.();
    else return;
    if (!/^[-.\d]$/.test(event.key)) typed = "";
    event.preventDefault();
    event.stopPropagation();
  });
  node.addEventListener("blur", () => {
    typed = "";
  });
}

export function describe(node, name, label) {
  const [low, high] = rangeOf(name);
  set(node, "aria-label", label);
  set(node, "aria-valuemin", low);
  set(node, "aria-valuemax", high);
  set(node, "aria-valuenow", Number(state[name].toFixed(4)));
  set(node, "aria-valuetext", format(state[name], 2));
}
