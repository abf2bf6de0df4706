// Faults of the museum (scratchvae/bugs) that this VAE can have, by its names: other formulas of nodes, or other
// local derivatives of edges. Those that change both consistently no gradient check can find. Some need a setting.
import { named, sigmoid, softplus } from "./vae.js";

const each = make => ({ ...make(1, named(1)), ...make(2, named(2)) });                  // for both latents
const sigmaOf = make => ({ locals: each((j, { v, sigma }) => ({ [`${v}>${sigma}`]: make(sigma) })) });
const klSlope = make => ({ locals: each((j, { v }) => ({ [`${v}>kls${j}`]: t => make(Math.exp(0.5 * t[v])) })) });
const kl = make => ({ locals: each(j => ({ [`klm${j}>L`]: make, [`kls${j}>L`]: make })) });
const slopes = make => ({ locals: { "A>h": t => make(t.h), "C>g": t => make(t.g) } });
const logits = make => ({
  needs: { likelihood: "bernoulli" },
  locals: { "l1>nll": t => make(t.l1, t.x1), "l2>nll": t => make(t.l2, t.x2) },
});
const noise = (value, slope) => ({
  nodes: each((j, { mu, sigma, eps, z }) => ({ [z]: t => t[mu] + value(t[sigma]) * t[eps] })),
  locals: each((j, { sigma, eps, z }) => ({ [`${sigma}>${z}`]: t => slope(t[sigma]) * t[eps] })),
});
const both = (nll, d_logit) => ({ ...logits(d_logit), nodes: { nll: t => nll(t.l1, t.x1) + nll(t.l2, t.x2) } });

export const FAULTS = {
  missing_half: sigmaOf(sigma => t => t[sigma]),
  forgotten_sigma: sigmaOf(() => () => 0.5),
  variance_in_backward: sigmaOf(sigma => t => 0.5 * t[sigma] ** 2),
  forgotten_eps: { locals: each((j, { sigma, z }) => ({ [`${sigma}>${z}`]: () => 1 })) },
  flipped_kl: klSlope(sigma => 0.5 * (1 - sigma ** 2)),
  kl_without_log: klSlope(sigma => 0.5 * sigma ** 2),
  sigma_for_variance_in_kl: klSlope(sigma => 0.5 * (sigma - 1)),
  kl_not_differentiated: kl(() => 0),
  beta_not_in_gradient: { ...kl(() => 1), needs: { beta: 2.5 } },
  kl_averaged_twice: { ...kl(t => t.beta / t.B), needs: { B: 2 } },
  z_for_mu: { locals: each((j, { mu, z }) => ({ [`${mu}>klm${j}`]: t => t[z] })) },
  sample_detached: { locals: each((j, { mu, sigma, z }) => ({ [`${mu}>${z}`]: () => 0, [`${sigma}>${z}`]: () => 0 })) },
  forgotten_slope: slopes(() => 1),
  tanh_without_square: slopes(y => 1 - y),
  flipped_residual: logits((l, x) => x - sigmoid(l)),
  sigmoid_slope_once_more: logits((l, x) => (sigmoid(l) - x) * sigmoid(l) * (1 - sigmoid(l))),
  sigmoid_twice_in_gradient: logits((l, x) => sigmoid(sigmoid(l)) - x),
  variance_for_sigma: noise(sigma => sigma ** 2, sigma => 2 * sigma),
  half_noise: noise(sigma => 0.5 * sigma, () => 0.5),
  kl_without_half: {
    nodes: each((j, { mu, v }) => ({ [`klm${j}`]: t => t[mu] ** 2, [`kls${j}`]: t => Math.expm1(t[v]) - t[v] })),
    locals: each((j, { mu, v }) => ({ [`${mu}>klm${j}`]: t => 2 * t[mu], [`${v}>kls${j}`]: t => Math.expm1(t[v]) })),
  },
  log_sigma_in_kl: {
    nodes: each((j, { v }) => ({ [`kls${j}`]: t => 0.5 * (Math.expm1(2 * t[v]) - 2 * t[v]) })),
    locals: each((j, { v }) => ({ [`${v}>kls${j}`]: t => Math.expm1(2 * t[v]) })),
  },
  sigmoid_twice: both((l, x) => softplus(sigmoid(l)) - x * sigmoid(l),
    (l, x) => (sigmoid(sigmoid(l)) - x) * sigmoid(l) * (1 - sigmoid(l))),
  cross_entropy_mean: both((l, x) => (softplus(l) - x * l) / 2, (l, x) => (sigmoid(l) - x) / 2),
};
