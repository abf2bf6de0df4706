// The estimators of scratchvae/estimators, S1 to S9, on one example: many draws of K samples each, their gradients
// [d_mu ... d_v ...], and the exact expectation by quadrature (G14, and for K samples G17's way of taking the sum out).
import { SIGMA_X, sigmoid, softplus } from "./vae.js";

// Random numbers that are functions of (seed, index): the same for the same seed, whatever was drawn before.
export function uniform(seed, index) {
  let x = Math.imul(seed + 0x6d2b79f5, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

export function normals(count, seed) {
  const length = i => Math.sqrt(-2 * Math.log1p(-uniform(seed, 2 * i)));
  return Float64Array.from({ length: count }, (_, i) => length(i) * Math.cos(2 * Math.PI * uniform(seed, 2 * i + 1)));
}

// The samples of noise eps (m x Z): z, the nll, its derivative J by z, and log w (S1, S2).
export function decode(t, Z, eps) {
  const m = eps.length / Z;
  const z = new Float64Array(m * Z);
  const J = new Float64Array(m * Z);
  const nll = new Float64Array(m);
  const logW = new Float64Array(m);
  const gaussian = t.likelihood === "gaussian";
  const constant = 2 * (Math.log(SIGMA_X) + 0.5 * Math.log(2 * Math.PI));
  const mu = [t.mu1, t.mu2];
  const v = [t.v1, t.v2];
  const sigma = v.map(each => Math.exp(0.5 * each));
  const R = [t.R1, t.R2];
  for (let i = 0; i < m; i++) {
    let C = t.r;
    let r = 0;
    for (let j = 0; j < Z; j++) {
      const e = eps[i * Z + j];
      const at = (z[i * Z + j] = mu[j] + sigma[j] * e);
      C += at * R[j];
      r += 0.5 * (at * at - e * e - v[j]); // S1
    }
    const g = Math.tanh(C);
    const l1 = g * t.S1 + t.s1;
    const l2 = g * t.S2 + t.s2;
    nll[i] = gaussian
      ? ((l1 - t.x1) ** 2 + (l2 - t.x2) ** 2) / (2 * SIGMA_X * SIGMA_X) + constant
      : softplus(l1) - t.x1 * l1 + softplus(l2) - t.x2 * l2;
    const d_l1 = gaussian ? (l1 - t.x1) / SIGMA_X ** 2 : sigmoid(l1) - t.x1;
    const d_l2 = gaussian ? (l2 - t.x2) / SIGMA_X ** 2 : sigmoid(l2) - t.x2;
    const d_C = (d_l1 * t.S1 + d_l2 * t.S2) * (1 - g * g);
    for (let j = 0; j < Z; j++) J[i * Z + j] = d_C * R[j];
    logW[i] = -nll[i] - t.beta * r; // S2
  }
  return { Z, eps, z, J, nll, logW, mu, v, sigma, beta: t.beta };
}

// The normalized weights of the K samples from `first` on (S6).
function weights(logW, first, K, out) {
  let top = -Infinity;
  let sum = 0;
  for (let k = 0; k < K; k++) top = Math.max(top, logW[first + k]);
  for (let k = 0; k < K; k++) {
    const w = Math.exp(logW[first + k] - top);
    sum += out[k] = w < 2 ** -52 ? 0 : w;
  }
  for (let k = 0; k < K; k++) out[k] /= sum;
}

const path = (p, k, j, v) => v * p.J[k * p.Z + j];
const sampled = (p, k, j, v) => path(p, k, j, v) + p.beta * v * p.z[k * p.Z + j]; // S5
const landing = (p, k, j, v) =>
  path(p, k, j, v) + p.beta * v * (p.z[k * p.Z + j] - p.eps[k * p.Z + j] / p.sigma[j]); // S7

// Each: what a sample of weight v sends to (z_j), and what the head gets besides. `weighed`: v is S6's, not 1/K.
export const ESTIMATORS = {
  analytic: { label: "Analytic", tag: "E6, E7", g: path, kl: true },
  antithetic: { label: "Antithetic", tag: "E6, E7", g: path, kl: true, paired: true },
  monte_carlo: { label: "Monte Carlo", tag: "S5", g: sampled, entropy: true },
  stl: { label: "STL", tag: "S7", g: landing },
  score_function: { label: "Score function", tag: "S9", score: true },
  iwae: { label: "IWAE", tag: "S6", g: sampled, entropy: true, weighed: true },
  dreg: { label: "DReG", tag: "S8", g: (p, k, j, v) => landing(p, k, j, v) * (1 - p.beta * (1 - v)), weighed: true },
};

// Gradients of the head, (draws x 2Z), of an estimator with K samples a draw; b is the score function's baseline.
export function headGradients(name, p, K, b = 0) {
  const { g, kl, entropy, weighed, score } = ESTIMATORS[name];
  const { Z, beta } = p;
  const draws = p.nll.length / K;
  const out = new Float64Array(draws * 2 * Z);
  const share = new Float64Array(K).fill(1 / K);
  for (let i = 0; i < draws; i++) {
    if (weighed) weights(p.logW, i * K, K, share);
    for (let j = 0; j < Z; j++) {
      let d_mu = kl ? beta * p.mu[j] : 0;
      let d_v = kl ? 0.5 * beta * Math.expm1(p.v[j]) : entropy ? -0.5 * beta : 0;
      for (let k = i * K; k < i * K + K; k++) {
        const e = p.eps[k * Z + j];
        const v = share[k - i * K];
        if (score) {
          // S9
          const c = v * (-p.logW[k] - b);
          d_mu += (c * e) / p.sigma[j];
          d_v += 0.5 * c * (e * e - 1);
        } else {
          const d_z = g(p, k, j, v);
          d_mu += d_z; // E6
          d_v += 0.5 * d_z * e * p.sigma[j]; // E7
        }
      }
      out[i * 2 * Z + j] = d_mu;
      out[i * 2 * Z + Z + j] = d_v;
    }
  }
  return out;
}

// In antithetic draws the second half of the K samples is minus the first.
export function paired(eps, K, Z) {
  const out = Float64Array.from(eps);
  const half = (K / 2) * Z;
  for (let first = 0; first < out.length; first += K * Z)
    for (let i = 0; i < half; i++) out[first + half + i] = -out[first + i];
  return out;
}

// The step of the trapezoid rule along the noise of latent j, with at most `most` nodes from -9 to 9. Its error falls
// as exp(-2 pi d / step), d the distance of the loss's nearest pole from the real axis: the logits' softplus has one
// where tanh(C) S + s = i pi, and tanh itself where C = i pi / 2.
function stepOf(t, j, most) {
  const slope = Math.max(Math.abs(t.S1), Math.abs(t.S2), 1e-9);
  const pole = t.likelihood === "gaussian" ? Math.PI / 2 : Math.atan(Math.PI / slope);
  const d = pole / Math.max(Math.abs(t[`R${j}`]) * Math.exp(0.5 * t[`v${j}`]), 1e-9);
  const step = 9 / Math.ceil(9 / Math.max(Math.min(0.25, (2 * Math.PI * d) / 33), 18 / most));
  return { step, error: Math.exp((-2 * Math.PI * d) / step) };
}

// Nodes and masses of the rule for averages over eps.
function rule(t, Z, most = Z === 1 ? 1441 : 161) {
  const [first, second] = [1, 2].slice(0, Z).map(j => {
    const { step } = stepOf(t, j, most);
    const half = Math.round(9 / step);
    const nodes = Array.from({ length: 2 * half + 1 }, (_, i) => (i - half) * step);
    return nodes.map(e => [e, (Math.exp(-0.5 * e * e) / Math.sqrt(2 * Math.PI)) * step]);
  });
  const points = second
    ? first.flatMap(([e, mass]) => second.map(([other, more]) => [[e, other], mass * more]))
    : first.map(([e, mass]) => [[e], mass]);
  return { eps: Float64Array.from(points.flatMap(([e]) => e)), mass: Float64Array.from(points, ([, mass]) => mass) };
}

const NODES = { 1: 361, 2: 61 };                                // of an axis, for the bound of K samples

// About how wrong the expectations below are, relative to them.
export const quadratureError = (t, Z) => Math.max(1e-15, ...[1, 2].slice(0, Z).map(j => stepOf(t, j, NODES[Z]).error));

// The exact expectation of the gradient: of the ELBO's, the same for every estimator of it. `most` as in `stepOf`.
export function expected(t, Z, most) {
  const { eps, mass } = rule(t, Z, most);
  const found = headGradients("analytic", decode(t, Z, eps), 1);
  const sum = new Float64Array(2 * Z);
  for (let i = 0; i < mass.length; i++) for (let c = 0; c < 2 * Z; c++) sum[c] += mass[i] * found[i * 2 * Z + c];
  return sum;
}

// The same for the bound of K samples (S6). With 1 / sum w = integral of exp(-u sum w) du the samples come apart:
// E[sum_k w_k g_k / sum w] = K integral of E[w g e^(-u w)] E[e^(-u w)]^(K - 1) du, by the trapezoid rule in log u.
export function expectedOfBound(t, Z, K) {
  if (K === 1) return expected(t, Z);
  const { eps, mass } = rule(t, Z, NODES[Z]);
  const p = decode(t, Z, eps);
  const each = headGradients("monte_carlo", p, 1);
  const order = Array.from(mass.keys()).sort((a, b) => p.logW[b] - p.logW[a]);
  const m = order.length;
  const step = 0.25;
  const sum = new Float64Array(2 * Z);
  let phi = 1;
  let waiting = mass.reduce((a, b) => a + b, 0);
  let entered = 0;
  let gone = 0;
  for (let s = -p.logW[order[0]] - 37; gone < m && phi ** K > 1e-20; s += step) {
    // log u; only some points are between 0 and 1
    for (; entered < m && s + p.logW[order[entered]] > -37; entered++) waiting -= mass[order[entered]];
    while (gone < entered && s + p.logW[order[gone]] > 3.7) gone++;
    if (gone === entered && entered < m) s += step * Math.floor((-37 - p.logW[order[entered]] - s) / step);
    const part = new Float64Array(2 * Z);
    phi = waiting;
    for (let at = gone; at < entered; at++) {
      const i = order[at];
      const uw = Math.exp(s + p.logW[i]);
      const left = mass[i] * Math.exp(-uw);
      phi += left;
      for (let c = 0; c < 2 * Z; c++) part[c] += left * uw * each[i * 2 * Z + c];
    }
    for (let c = 0; c < 2 * Z; c++) sum[c] += K * step * phi ** (K - 1) * part[c];
  }
  return sum;
}

// Bias, variance and signal-to-noise of gradients (draws x n) against the exact expectation, as in
// analysis/estimator_comparison.py: bias in standard errors, variance summed, |expectation| / deviation averaged.
export function moments(found, exact) {
  const n = exact.length;
  const draws = found.length / n;
  const mean = new Float64Array(n);
  const variance = new Float64Array(n);
  for (let i = 0; i < found.length; i++) mean[i % n] += found[i] / draws;
  for (let i = 0; i < found.length; i++) variance[i % n] += (found[i] - mean[i % n]) ** 2 / draws;
  const z = exact.map((each, c) => Math.abs(mean[c] - each) / Math.sqrt(variance[c] / draws));
  const ratios = [...exact].map((each, c) => Math.abs(each) / Math.sqrt(variance[c])).filter(Number.isFinite);
  return {
    mean,
    variance: variance.reduce((a, b) => a + b, 0),
    biasZ: Math.max(...z),
    signal: ratios.reduce((a, b) => a + b, 0) / ratios.length,
  };
}
