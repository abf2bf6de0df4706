// What the reader can change, and who is told. The URL's fragment holds what differs from START.
import { clamp, onceAFrame, readFragment, writeFragment } from "../shared/page.js";
import { lossAlong } from "./differences.js";
import { FAULTS } from "./faults.js";
import { backward, forward, network, rowsOf, sharing, total } from "./vae.js";

// The indices of x are (example, pixel), of eps (example, sample, latent); the graph shows example n and sample k.
export const START = {
  Z: 1, B: 1, K: 1, n: 1, k: 1, likelihood: "bernoulli", beta: 1,
  x11: 1, x12: 0, x21: 0.2, x22: 0.9,
  eps111: 0.8, eps112: -0.5, eps121: -1.1, eps122: 0.4, eps211: 0.3, eps212: 1.2, eps221: -0.6, eps222: -0.9,
  U1: 0.9, U2: -0.7, a: 0.1, Wm1: 1.1, Wm2: 0.7, Wv1: -0.8, Wv2: 0.5, cm1: 0.2, cm2: -0.4, cv1: 0.9, cv2: -0.6,
  R1: 1.2, R2: -0.8, r: -0.1, S1: 1.4, S2: -1.1, s1: 0.2, s2: -0.3,
  step: -1, ask: "no", pick: "mu1", h: -3,                                       // the walk and the panel
  seed: 1, samples: 1, baseline: 0, latent: 1, common: 1,                        // the cloud
  fault: "", optimizer: "adam", rate: 0.03,
};
const TWO = [1, 2];
export const SAMPLES = [1, 2, 4, 8, 16, 32, 64];
const CHOICES = {
  Z: TWO, B: TWO, K: TWO, n: TWO, k: TWO, latent: TWO, common: [0, 1], likelihood: ["bernoulli", "gaussian"],
  ask: ["no", "sign", "number"], samples: SAMPLES, optimizer: ["sgd", "adam"],
};
const RANGES = { beta: [0, 4], step: [-1, 99], seed: [1, 1e6], h: [-12, 0], baseline: [-4, 8], rate: [0.001, 0.32] };

export const rangeOf = name =>
  RANGES[name] ?? (name.startsWith("x") ? [0, 1] : name.startsWith("eps") ? [-3, 3] : [-9, 9]);

// A usable value for what the fragment says, or undefined.
function allowed(key, value) {
  if (key in CHOICES) return CHOICES[key].includes(value) ? value : undefined;
  if (key === "fault") return value === "" || Object.hasOwn(FAULTS, value) ? value : undefined;
  if (key === "pick") return /^[A-Za-z0-9>]{1,12}$/.test(value) ? value : undefined;
  const inside = clamp(value, ...rangeOf(key));
  return key === "step" || key === "seed" ? Math.round(inside) : inside;
}

export const state = {};
const views = [];
export const onChange = view => views.push(view);

// All that one step computes at the present state, for the views. `at` is the row that the graph shows. Of the walk
// `done` things are shown: nodes in the order of the forward pass, F of them, then `walked` edges; `now` is the last.
export function compute(now = state.step) {
  const net = network(state.Z, state.likelihood);
  const rows = rowsOf(state);
  const fault = FAULTS[state.fault];
  const loss = forward(net, rows, fault);
  const F = net.nodes.length;
  const last = F + net.edges.length;
  const done = now < 0 ? last : Math.min(now, last);
  const walked = Math.max(0, done - F);
  const d = backward(net, rows, fault, walked);
  const where = name => sharing(net, name, state.n, state.k);
  const value = name => (name === "L" ? loss : rows.find(where(name))[name]);
  const rest = net.edges.slice(walked);
  const waits = name => name && rest.some(({ from, weight }) => from === name || weight === name);
  return {
    net, rows, fault, F, last, done, walked, where, cotangents: d,
    all: now < 0,
    at: rows.find(t => t.n === state.n && t.k === state.k),
    now: now < 1 ? null : done <= F ? net.nodes[done - 1] : net.edges[walked - 1],
    value,
    // The loss as a function of a node or parameter, and the number at which that stands now.
    along: name => ({
      f: lossAlong(net, rows.map(t => ({ ...t })), fault, name, where(name)),
      x: name in net.parameters ? state[name] : value(name),
    }),
    known: name => net.nodes.findIndex(node => node.name === name) < done,
    // The gradient of the loss by a node or parameter after so many edges, and whether it has begun or is complete.
    cotangent: (name, steps = walked) =>
      total(rows, steps === walked ? d : backward(net, rows, fault, steps), name, where(name)),
    begun: name => done >= F && (name === "L" || net.edges.slice(0, walked).some(({ from }) => from === name)),
    complete: name => done >= F && !waits(name) && !waits(net.nodes.find(({ bias }) => bias === name)?.name),
  };
}

// A view that takes long is drawn while its section is in sight, and at most every 40 ms.
export function onRest(section, view) {
  let latest = null;
  let seen = false;
  let waiting = 0;
  const draw = () => {
    waiting = 0;
    if (!seen || !latest) return;
    view(latest);
    latest = null;
  };
  const ask = () => (waiting ||= setTimeout(draw, 40));
  onChange(step => {
    latest = step;
    ask();
  });
  new IntersectionObserver(([entry]) => {
    seen = entry.isIntersecting;
    ask();
  }).observe(section);
}

const draw = onceAFrame(() => {
  const step = compute();
  for (const view of views) view(step);
});

export function change(values) {
  Object.assign(state, values);
  state.n = Math.min(state.n, state.B);
  state.k = Math.min(state.k, state.K);
  state.latent = Math.min(state.latent, state.Z);
  writeFragment(state, START);
  draw();
}

export const load = () => change(readFragment(START, allowed));
