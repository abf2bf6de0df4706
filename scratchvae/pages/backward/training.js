// Training in the page: eight examples, SGD or Adam. The noise of a step is a function of its number alone, so that the
// same steps can be played again.
import { normals } from "./estimators.js";
import { gradient, klOf } from "./vae.js";

export const DATA = [0, 0.1, 0.2, 0.35, 0.65, 0.8, 0.9, 1].map(t => [t, 1 - t]);

// Rows of all examples with one sample each, as `rowsOf` makes them of the graph's.
export function dataRows(s, step) {
  const eps = normals(2 * DATA.length, 7919 + step);
  const all = { ...s, B: DATA.length, K: 1, k: 1 };
  return DATA.map(([x1, x2], i) => ({ ...all, n: i + 1, x1, x2, eps1: eps[2 * i], eps2: eps[2 * i + 1] }));
}

// The state of training before its first step: the weights theta, and Adam's moments m and v.
export function start(net, s) {
  const names = Object.keys(net.parameters);
  const all = of => Object.fromEntries(names.map(name => [name, of(name)]));
  return { net, step: 0, theta: all(name => s[name]), m: all(() => 0), v: all(() => 0) };
}

// The next state of training, a new object, and the two parts of the loss before the step.
export function trainStep(s, { net, step, theta, m, v }, fault) {
  const rows = dataRows({ ...s, ...theta }, step);
  const d = gradient(net, rows, fault).gradient;
  const next = { net, step: step + 1, theta: {}, m: {}, v: {} };
  for (const name in theta) {
    next.m[name] = 0.9 * m[name] + 0.1 * d[name];
    next.v[name] = 0.999 * v[name] + 0.001 * d[name] ** 2;
    const mean = next.m[name] / (1 - 0.9 ** next.step);
    const size = Math.sqrt(next.v[name] / (1 - 0.999 ** next.step));
    next.theta[name] = theta[name] - s.rate * (s.optimizer === "sgd" ? d[name] : mean / (size + 1e-8)); // O1
  }
  const average = f => rows.reduce((sum, t) => sum + f(t), 0) / rows.length;
  return { next, reconstruction: average(t => t.nll), kl: average(t => klOf(t, net.Z)) };
}
