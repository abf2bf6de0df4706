// Training in the page: eight examples, SGD or Adam. The noise of a step is a function of its number, so steps can be replayed.
import { normals } from "./estimators.js";
import { gradient, klOf } from "./vae.js";

export const DATA = [0, 0.1, 0.2, 0.35, 0.65, 0.8, 0.9, 1].map(t => [t, 1 - t]);

// Rows of all examples with one sample each, as `rowsOf` makes them of the graph's.
export function dataRows(s, step) {
  const eps = normals(2 * DATA.length, 7919 + step);
  return DATA.map(([x1, x2], i) => ({
    ...s,
    n: i + 1,
    k: 1,
    B: DATA.length,
    K: 1,
    x1,
    x2,
    eps1: eps[2 * i],
    eps2: eps[2 * i + 1],
  }));
}

export const start = (net, s) => ({
  step: 0,
  m: {},
  v: {},
  theta: Object.fromEntries(Object.keys(net.parameters).map(name => [name, s[name]])),
});

// The next state of training, a new object, and the two parts of the loss before the step.
export function trainStep(net, s, { step, theta, m, v }, fault) {
  const rows = dataRows({ ...s, ...theta }, step);
  const { gradient: d } = gradient(net, rows, fault);
  const next = { step: step + 1, theta: {}, m: {}, v: {} };
  for (const name in theta) {
    if (s.optimizer === "sgd") next.theta[name] = theta[name] - s.rate * d[name];
    else {
      // Adam, O1
      next.m[name] = 0.9 * (m[name] ?? 0) + 0.1 * d[name];
      next.v[name] = 0.999 * (v[name] ?? 0) + 0.001 * d[name] ** 2;
      next.theta[name] =
        theta[name] -
        (s.rate * next.m[name]) / (1 - 0.9 ** next.step) / (Math.sqrt(next.v[name] / (1 - 0.999 ** next.step)) + 1e-8);
    }
  }
  const mean = f => rows.reduce((sum, t) => sum + f(t), 0) / rows.length;
  return {
    next,
    reconstruction: mean(t => t.nll),
    kl: mean(t => klOf(t, net.Z)),
  };
}
