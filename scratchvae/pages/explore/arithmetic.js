// The model's arithmetic, in float64 and nats; it knows nothing of the document. Tags are those of scratchvae/elbo.py
// (E), of likelihoods/__init__.py (L) and of the course (T).

const { abs, exp, expm1, log, log1p, max, tanh, sqrt, PI } = Math;
const HALF_LOG_2PI = 0.5 * log(2 * PI), MIN_LOGVAR = -12, NEAR = 2;

export const softplus = a => max(a, 0) + log1p(exp(-abs(a)));
const sigmoid = a => 1 / (1 + exp(-a));
const ACTIVATIONS = { identity: a => a, relu: a => max(a, 0), tanh, sigmoid, softplus };

const sum = (n, term) => {
  let total = 0;
  for (let i = 0; i < n; i++) total += term(i);
  return total;
};

// y = act(x W + b), W (n_in, n_out); inputs that are 0, as after a relu, are left out                             (D1)
function dense({ W, b, act }, x) {
  const y = b.slice(), n = y.length;
  for (let i = 0; i < x.length; i++) {
    const factor = x[i];
    if (factor !== 0) for (let j = 0, k = i * n; j < n; j++, k++) y[j] += factor * W[k];
  }
  if (act) for (let j = 0; j < n; j++) y[j] = act(y[j]);
  return y;
}

function network(arrays, prefix, depth, activation) {
  const layers = Array.from({ length: depth + 1 }, (_, i) => {
    const name = `${prefix}.${i < depth ? i : "head"}`;
    return { W: arrays[`${name}.W`].values, b: arrays[`${name}.b`].values, act: i < depth && ACTIVATIONS[activation] };
  });
  return x => layers.reduce((y, layer) => dense(layer, y), x);
}

// A(-t) and its derivative A'(-t), the mean pixel, for t >= 0                                                     (L3)
function atMinus(t) {
  if (t > NEAR) return [log((1 - exp(-t)) / t), 1 / t - exp(-t) / (1 - exp(-t))];
  const y = 0.5 * t, w = y * y;
  let u = 0, du = 0, term = 1;
  for (let n = 1; n <= 8; n++) {
    term /= 2 * n * (2 * n + 1);
    du += n * term;
    term *= w;
    u += term;
  }
  return [log1p(u) - y, 0.5 - y * du / (1 + u)];
}

const normal = {                                                                                             // E8, L4
  nll: (m, x, sigma) => sum(x.length, d => (x[d] - m[d]) ** 2) / (2 * sigma * sigma)
    + x.length * (log(sigma) + HALF_LOG_2PI),
  mean: m => m };

// nll(outputs, x, sigma) of one row, and the mean pixels of its outputs
const LIKELIHOODS = {
  bernoulli: {                                                                                                   // E4
    nll: (l, x) => sum(x.length, d => max(l[d], 0) - x[d] * l[d] + log1p(exp(-abs(l[d])))),
    mean: l => l.map(sigmoid) },
  continuous_bernoulli: {                                                                                    // L1, L2
    nll: (l, x) => sum(x.length, d => abs(l[d]) * (l[d] > 0 ? 1 - x[d] : x[d]) + atMinus(abs(l[d]))[0]),
    mean: l => l.map(a => a > 0 ? 1 - atMinus(a)[1] : atMinus(-a)[1]) },
  gaussian: normal,
  gaussian_scalar: normal,
  gaussian_diagonal: {                                                                                       // L6, L7
    nll: (outputs, x) => sum(x.length, d => {
      const logvar = MIN_LOGVAR + softplus(outputs[x.length + d] - MIN_LOGVAR);
      return 0.5 * ((x[d] - outputs[d]) ** 2 * exp(-logvar) + logvar);
    }) + x.length * HALF_LOG_2PI,
    mean: outputs => outputs.slice(0, outputs.length / 2) },
};

// KL(q || p) of each latent                                                                                        (E4)
export const klTerms = ({ mu, logvar }) => mu.map((m, j) => 0.5 * (m * m + (expm1(logvar[j]) - logvar[j])));

const reparameterize = ({ mu, logvar }, eps) => mu.map((m, j) => m + exp(0.5 * logvar[j]) * eps[j]);    // (E2)

// The model of a page: its settings, and its weights as `unpack` returns them; y is the label that it is given, if any.
export function makeModel({ likelihood, activation, hidden, sigma, n_latent, n_conditions }, arrays) {
  const join = (v, y) => n_conditions
    ? Float64Array.from({ length: v.length + n_conditions }, (_, i) => v[i] ?? Number(i - v.length === y)) : v;
  const encoder = network(arrays, "encoder", hidden.length, activation);                                       // (E1)
  const decode = network(arrays, "decoder", hidden.length, activation);                                        // (E3)
  const { nll, mean } = LIKELIHOODS[likelihood];
  return {
    y: 0,
    decode(z) { return mean(decode(join(z, this.y))); },
    encode(x, y = this.y) {
      const head = encoder(join(x, y));
      return { mu: head.slice(0, n_latent), logvar: head.slice(n_latent) };
    },
    // One sample: z, the mean pixels, -log p(x | z), and log w = log p(x | z) p(z) / q(z | x)                    (T13)
    sample(x, q, eps) {
      const z = reparameterize(q, eps), outputs = decode(join(z, this.y)), cost = nll(outputs, x, sigma);
      const logWeight = 0.5 * sum(n_latent, j => eps[j] ** 2 - z[j] ** 2 + q.logvar[j]) - cost;
      return { z, mean: mean(outputs), nll: cost, logWeight };
    },
  };
}

const logAdd = (a, b) => max(a, b) + log1p(exp(-abs(a - b)));

// The bounds L_1, L_2, L_4, ... on log p(x) from the log weights of 2^m draws: L_K is the mean of log 1/K sum w over
// groups of K. Each group is made of two smaller ones, so the bounds never fall                                   (T14)
export function bounds(logWeights) {
  const found = [];
  const pair = w => Float64Array.from({ length: w.length / 2 }, (_, i) => logAdd(w[2 * i], w[2 * i + 1]) - log(2));
  for (let w = logWeights; ; w = pair(w)) {
    found.push(sum(w.length, i => w[i]) / w.length);
    if (w.length === 1) return found;
  }
}

// How many draws with equal weights would be as good
export function effective(logWeights) {
  const top = logWeights.reduce((a, b) => max(a, b)), w = logWeights.map(value => exp(value - top));
  return sum(w.length, i => w[i]) ** 2 / sum(w.length, i => w[i] ** 2);
}

// The point at t on the way from a to b: straight, or turning at a constant rate, which keeps the length of draws
export function between(a, b, t, path) {
  const length = v => sqrt(sum(v.length, j => v[j] ** 2)), [p, q] = [length(a), length(b)];
  const straight = a.map((value, j) => (1 - t) * value + t * b[j]);
  if (path === "straight" || p === 0 || q === 0) return straight;
  const [u, v] = [a.map(value => value / p), b.map(value => value / q)];
  const angle = 2 * Math.atan2(length(u.map((value, j) => value - v[j])), length(u.map((value, j) => value + v[j])));
  if (angle < 1e-9 || angle > PI - 1e-6) return straight;                        // no plane to turn in
  const [s, e] = [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
  return u.map((value, j) => ((1 - t) * p + t * q) * (s * value + e * v[j]));
}

// Draws that are the same for the same seed: uniform by a counter that is scrambled, normal by Box and Muller
export function makeRandom(seed) {
  let state = seed;
  const uniform = () => {
    state = state + 0x6D2B79F5 | 0;
    let x = Math.imul(state ^ state >>> 15, 1 | state);
    x = x + Math.imul(x ^ x >>> 7, 61 | x) ^ x;
    return ((x ^ x >>> 14) >>> 0) / 2 ** 32;
  };
  const gaussian = () => sqrt(-2 * log(1 - uniform())) * Math.cos(2 * PI * uniform());
  return { uniform, normals: n => Float64Array.from({ length: n }, gaussian) };
}

// A draw from the mixture of Gaussians that was fitted to q(z)
export function drawMixture({ shares, means, factors }, random, n) {
  let left = random.uniform() * sum(shares.values.length, k => shares.values[k]), k = 0;
  while (k < shares.values.length - 1 && (left -= shares.values[k]) > 0) k++;
  const eps = random.normals(n), at = (i, j) => factors.values[(k * n + i) * n + j];
  return eps.map((_, i) => means.values[k * n + i] + sum(i + 1, j => at(i, j) * eps[j]));
}
