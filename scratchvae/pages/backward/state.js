// What the reader can change, and who is told. The URL's fragment holds what differs from START.
import { clamp, onceAFrame, readFragment, writeFragment } from "../shared/page.js";
import { backward, forward, network, rowsOf, sharing, total } from "./vae.js";
import { FAULTS } from "./faults.js";

export const START = {
  Z: 1, B: 1, K: 1, n: 1, k: 1, likelihood: "bernoulli", beta: 1,
  x11: 1, x12: 0, x21: 0.2, x22: 0.9, eps111: 0.8, eps112: -0.5, eps121: -1.1, eps122: 0.4, eps211: 0.3, eps212: 1.2, eps221: -0.6, eps222: -0.9,
  U1: 0.9, U2: -0.7, a: 0.1, Wm1: 1.1, Wm2: 0.7, Wv1: -0.8, Wv2: 0.5, cm1: 0.2, cm2: -0.4, cv1: 0.9, cv2: -0.6,
  R1: 1.2, R2: -0.8, r: -0.1, S1: 1.4, S2: -1.1, s1: 0.2, s2: -0.3,
  step: -1, ask: "no", pick: "mu1", fault: "", h: -3, samples: 1, baseline: 0, latent: 1, seed: 1, common: 1, optimizer: "adam", rate: 0.03,
};
const CHOICES = { Z: [1, 2], B: [1, 2], K: [1, 2], n: [1, 2], k: [1, 2], latent: [1, 2], common: [0, 1], likelihood: ["bernoulli", "gaussian"],
  ask: ["no", "sign", "number"], samples: [1, 2, 4, 8, 16, 32, 64], optimizer: ["sgd", "adam"] };
const RANGES = { beta: [0, 4], step: [-1, 99], seed: [1, 1e6], h: [-12, 0], baseline: [-4, 8], rate: [0.001, 0.3] };

export const rangeOf = name => RANGES[name] ?? (name.startsWith("x") ? [0, 1] : [-3, 3]);

function allowed(key, value) {
  if (key in CHOICES) return CHOICES[key].includes(value) ? value : undefined;
  if (key === "fault") return value === "" || Object.hasOwn(FAULTS, value) ? value : undefined;
  if (key === "pick") return /^[A-Za-z0-9>]{1,12}$/.test(value) ? value : undefined;
  const size = clamp(value, ...rangeOf(key));
  return Number.isInteger(START[key]) && ["step", "seed"].includes(key) ? Math.round(size) : size;
}

export const state = {};
export const views = [];
export const onChange = view => views.push(view);

// All that one step computes at the present state, for the views: `at` is the row that the graph shows.
export function compute() {
  const net = network(state.Z, state.likelihood), rows = rowsOf(state), fault = FAULTS[state.fault];
  const loss = forward(net, rows, fault), F = net.nodes.length, last = F + net.edges.length;
  const done = state.step < 0 ? last : Math.min(state.step, last), walked = Math.max(0, done - F), d = backward(net, rows, fault, walked);
  const where = name => sharing(net, name, state.n, state.k);
  return {
    net, rows, fault, loss, F, last, done, walked, d, where, all: state.step < 0,
    at: rows.find(t => t.n === state.n && t.k === state.k),
    now: state.step < 1 ? null : done <= F ? net.nodes[done - 1] : net.edges[walked - 1],
    value: name => name === "L" ? loss : rows.find(where(name))[name],
    known: name => net.nodes.findIndex(node => node.name === name) < done,
    cotangent: (name, steps) => total(rows, steps === undefined ? d : backward(net, rows, fault, steps), name, where(name)),
    complete: name => done >= F && !net.edges.some((edge, i) => i >= walked && (edge.from === name || edge.weight === name
      || net.nodes.some(node => node.bias === name && node.name === edge.from))),
    begun: name => done >= F && (name === "L" || net.edges.some((edge, i) => i < walked && edge.from === name)),
  };
}

// A view that takes long is drawn while its section is in sight, and at most every 40 ms.
export function onRest(section, view) {
  let waiting = 0, stale = null, seen = false;
  const rest = () => { if (seen && stale) waiting ||= setTimeout(() => { const step = stale; stale = null; waiting = 0; view(step); }, 40); };
  new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; rest(); }).observe(section);
  onChange(step => { stale = step; rest(); });
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
