"""Detectors that look at the objective, its gradient and its parts; each returns what it found wrong, or ""."""
import itertools
import math
from collections.abc import Iterable

import numpy as np

from ..analysis.evaluation import evaluate
from ..gradcheck import check_model, properties
from ..gradcheck.hints.model import check_parts
from ..gradcheck.properties import differs, EXACT, SIGMAS
from ..oracles import LinearGaussian, sigma_points
from ..oracles.rules import gauss_hermite
from ..vae import VAE
from .cases import Case

K = 3                # samples of an example for the K-sample bound
CHECKED_ENTRIES = 4  # checked entries of a segment: wrong sample weights make all of them wrong
BY_HAND = {"identity": lambda a: a, "relu": lambda a: np.maximum(a, 0), "tanh": np.tanh,
           "sigmoid": lambda a: 1 / (1 + np.exp(-a)), "softplus": lambda a: np.logaddexp(0, a)}


def verdict(checks: Iterable) -> str:
    """Return the names of the checks that failed with their hints, or ""."""
    wrong = [check for check in checks if not check.ok]
    hints = dict.fromkeys(check.hint for check in wrong if check.hint)
    names = ", ".join(check.name for check in wrong if check.name != "cause")       # which is no array
    return "; ".join(filter(None, [f"wrong: {names}" if wrong else "", *hints]))


def gradient_check(case: Case) -> str:
    """The gradient agrees with differences of the loss in every segment."""
    return verdict(check_model(case.model, case.X, case.eps, seed=case.seed))


def layer_check(case: Case) -> str:
    """Every layer, and the likelihood, agrees with its own differences and keeps its contract."""
    return verdict(check_parts(case.model, case.X, case.rng()))


def beta_linearity(case: Case) -> str:
    """loss = reconstruction + beta KL, for any beta, and the KL is not negative."""
    def objective_at(beta):
        case.model.beta = beta
        return case.model.objective(case.X, case.eps)

    return verdict(properties.beta_linearity(objective_at, case.model.beta))


def kl_by_quadrature(case: Case) -> str:
    """The KL that is reported is E[log q - log p] at the z of the sampler, by Gauss-Hermite quadrature."""
    model, x = case.model, case.X[:1]
    q, ws = model.encode(x), model.workspace(1)
    ws.x[:] = x
    total = 0.0
    for node, weight in zip(*gauss_hermite(40, 1)):
        ws.eps[:] = node                                     # latents are independent: one node can serve all of them
        reported = model.forward(ws).kl
        z = ws.z[0]
        log_q = -0.5 * ((z - q.mu[0]) ** 2 * np.exp(-q.logvar[0]) + q.logvar[0])
        total += weight * float(np.sum(log_q + 0.5 * z * z))
    return f"the KL is {reported:.6g}; log q - log p averages {total:.6g}" if differs(reported, total) else ""


def networks_by_hand(case: Case) -> str:
    """Encoder and decoder give what x W + b and the activation give, layer by layer, in plain NumPy."""
    model, p = case.model, case.model.parameters
    z = case.rng().standard_normal((len(case.X), model.n_latent))

    def by_hand(stack, y):
        for affine in stack[:-1]:
            y = BY_HAND[model.activation](y @ affine.W + affine.b)
        return y @ stack[-1].W + stack[-1].b

    q, head = model.encode(case.X), by_hand(p.encoder, case.X)
    found = {"mu": (q.mu, head[:, :model.n_latent]), "logvar": (q.logvar, head[:, model.n_latent:]),
             "the decoder's outputs": (model.decode_outputs(z), by_hand(p.decoder, z))}
    wrong = [name for name, (array, wanted) in found.items() if differs(array, wanted)]
    return f"not what its layers give by hand: {', '.join(wrong)}; what does its head read?" if wrong else ""


def k_sample_bound(case: Case) -> str:
    """The loss of K weighted samples follows from the densities (T13, T14), and the gradient from the loss."""
    model, X = case.new_model(estimator="iwae", n_samples=K), case.X
    model.parameters.flat[:] = case.model.parameters.flat
    eps, ws, q = case.rng().standard_normal((len(X), K, model.n_latent)), model.workspace(len(X)), model.encode(X)
    ws.x[:], ws.eps[:] = X, eps.reshape(ws.eps.shape)
    loss, z = model.forward(ws).loss, ws.z.reshape(eps.shape)
    mu, logvar = q.mu[:, None], q.logvar[:, None]
    log_q = -0.5 * ((z - mu) ** 2 * np.exp(-logvar) + logvar).sum(axis=2)
    cost = ws.nll.reshape(len(X), K) + model.beta * (log_q + 0.5 * (z * z).sum(axis=2))          # -log w
    least = cost.min(axis=1)
    wanted = float(np.mean(least - np.log(np.exp(least[:, None] - cost).mean(axis=1))))
    if loss > cost.mean() + EXACT * abs(cost.mean()):
        return (f"the loss of {K} samples is {loss:.6g}, and the average loss of one sample is {cost.mean():.6g}: a "
                "bound of more samples must be tighter. Does the worst sample weigh most?")
    if differs(loss, wanted):
        return f"the loss of {K} samples is {loss:.6g}; -log 1/K sum of w = p(x, z) / q(z | x) is {wanted:.6g}"
    return verdict(check_model(model, X, eps, max_entries=CHECKED_ENTRIES, seed=case.seed))


def batch_independence(case: Case) -> str:
    """The loss and gradient of a batch are the means over batches of one example each, in any order."""
    return verdict(properties.independence(lambda X, eps: case.model.objective(X, eps).loss,
                                           lambda X, eps: case.model.gradient(X, eps)[1].flat, case.X, case.eps))


def is_black_and_white(model: VAE) -> bool:
    """Return True if p(x | z) is a distribution of pixels that are 0 or 1."""
    return not model.likelihood.is_density(np.full((1, model.n_visible), 0.5))


def _constant_decoder(case, n_visible, outputs):
    """Return a model whose decoder gives `outputs` for any z, with a Bernoulli likelihood or a Gaussian one."""
    likelihood = "bernoulli" if is_black_and_white(case.model) else "gaussian"
    model = case.new_model(n_visible=n_visible, likelihood=likelihood)
    model.parameters.decoder.head.W[:] = 0
    model.parameters.decoder.head.b[:] = outputs
    return model


def probabilities_sum_to_one(case: Case) -> str:
    """exp(-nll) adds up to 1 over all x, and x exp(-nll) to the mean that is shown.

    x is three black-and-white pixels, or two gray ones.  For gray pixels the sum is Gauss-Hermite quadrature around
    their means, which is exact for the right density.
    """
    gray = not is_black_and_white(case.model)
    n = 2 if gray else 3
    model, z = _constant_decoder(case, n, case.rng().normal(size=n)), np.zeros((1, case.model.n_latent))
    return verdict(properties.total_probability(lambda x: model.objective(x[None], z).reconstruction,
                                                model.decode(z)[0], case.model.sigma if gray else None))


def extreme_inputs(case: Case) -> str:
    """The loss is right and the gradient finite at outputs of +-30 to +-10000 and log variances of +-40."""
    for size in (30.0, 1e3, 1e4):
        for outputs, x in itertools.product((-size, size), (0.0, 1.0)):
            model = _constant_decoder(case, 2, outputs)
            found, gradient = model.gradient(np.full((1, 2), x), np.zeros((1, model.n_latent)))
            if not np.isfinite(gradient.flat).all() or not math.isfinite(found.loss):
                return f"the loss is {found.loss:g} where the decoder's outputs are {outputs:g}"
            one, wanted = found.reconstruction / 2, max(outputs, 0) - x * outputs    # softplus(l) - x l at large |l|
            if is_black_and_white(model) and abs(one - wanted) > 1e-6 * max(1, wanted):
                return f"a logit of {outputs:g} costs {one:.6g} nats at x = {x:g}; it should be {wanted:g}"
    for logvar in (-40.0, 40.0):
        model = case.new_model()
        head = model.parameters.encoder.head
        head.W[:], head.b[:] = 0, logvar
        head.b[:model.n_latent] = 0
        found = model.objective(case.X, case.eps)
        wanted = 0.5 * model.n_latent * (math.expm1(logvar) - logvar)
        if not math.isclose(found.kl, wanted, rel_tol=1e-9):
            return f"the KL is {found.kl:g} at logvar = {logvar:g}; it should be {wanted:g}"
    return ""


def linear_gaussian_oracle(case: Case) -> str:
    """A VAE whose encoder gives the exact posterior has ELBO = log p(x), and every importance weight is p(x).

    A rule averages loss and gradient over eps without error; the average gradient is known in closed form.
    """
    rng, n_visible = case.rng(), case.model.n_visible
    W = rng.standard_normal((1, n_visible))
    W *= 1.5 / np.linalg.norm(W)
    world = LinearGaussian(W, rng.standard_normal(n_visible), float(rng.uniform(0.5, 0.9))).with_best_encoder()
    X, vae = world.sample(8, seed=case.seed), world.to_vae()
    log_p = float(world.log_p(X).mean())
    objectives, gradients = zip(*(vae.gradient(X, np.tile(eps, (len(X), 1))) for eps in sigma_points(1)))
    loss = np.mean([objective.loss for objective in objectives])
    if differs(loss, -log_p):
        return f"the loss averages {loss:.6g} over eps; -log p(x) is {-log_p:.6g}, and the encoder is exact"
    exact = world.expected_gradient(X)[1]
    wrong = [name for name, view in exact.segments()
             if differs(np.mean([gradient[name] for gradient in gradients], axis=0), view)]
    if wrong:
        return f"the gradient averaged over eps is not the exact one in {', '.join(wrong)}"
    measured = evaluate(vae, X, importance_samples=400, seed=0)
    if differs(measured.log_likelihood, log_p):
        return f"log p(x) is estimated as {measured.log_likelihood:.6g}; it is {log_p:.6g}"
    spread = math.sqrt(2 * X.shape[1] / (400 * len(X)))             # twice the mean nll's deviation: var(nll) = D / 2
    if abs(measured.elbo - log_p) > SIGMAS * spread:
        return f"the ELBO is measured as {measured.elbo:.6g}, log p(x) is {log_p:.6g}, and the encoder is exact"
    return ""
