"""The number beside an explanation: each function computes something now, and says what it found."""
from collections.abc import Callable
from functools import partial

import numpy as np

from ..bugs import BUGS, detections, random_case
from ..gradcheck import check_model
from ..oracles import LinearGaussian
from ..oracles.rules import gauss_hermite
from ..practice import EXERCISES, judge
from ..probability.distributions import Discrete
from ..probability.divergences import cross_entropy, entropy, kl
from ..probability.joint_distribution import joint_view
from ..vae import Posterior


def gradient(**settings: object) -> str:
    """Return how far the gradient of a small VAE with these settings is from finite differences."""
    case = random_case(0, **{"hidden": (4,), "activation": "tanh", "likelihood": "bernoulli", **settings})
    eps = np.random.default_rng(0).standard_normal((len(case.X), case.model.n_samples, case.model.n_latent))
    checks = check_model(case.model, case.X, eps[:, 0] if case.model.n_samples == 1 else eps)
    said = ", ".join(f"{name} {value}" for name, value in settings.items() if isinstance(value, str))
    return (f"the gradient of a small VAE{f', {said},' if said else ''} agrees with finite differences in all "
            f"{len(checks)} segments, worst relative error {max(check.worst for check in checks):.1e}"
            if all(check.ok for check in checks) else f"WRONG: {checks}")


def exercise(name: str) -> str:
    """Return the judge's evidence about a model answer of `scratchvae practice`."""
    _, evidence = judge(EXERCISES[name], EXERCISES[name].function).text.split("; ", 1)        # it equals itself
    return f"{name}, as an exercise's model answer: {evidence}"


def weight(likelihood: str, beta: float) -> str:
    """Return the loss of a small VAE beside the sum that it should be, with Gaussian pixels as lambda weighs it."""
    case = random_case(0, hidden=(4,), activation="tanh", likelihood=likelihood, beta=beta)
    (loss, reconstruction, _), (mu, logvar) = case.model.gradient(case.X, case.eps)[0], case.model.encode(case.X)
    kl = np.mean(np.sum(mu**2 + np.exp(logvar) - 1 - logvar, axis=1)) / 2
    if likelihood != "gaussian":
        return (f"the loss of a small VAE is {loss:.6f}, and its reconstruction + {beta:g} x KL, by T6 from the "
                f"encoder's output, is {reconstruction + beta * kl:.6f}")
    means = case.model.decode_outputs(mu + np.exp(logvar / 2) * case.eps)
    error, scale = np.mean(np.sum((case.X - means) ** 2, axis=1)), 2 * case.model.sigma**2
    constant = case.X.shape[1] / 2 * np.log(np.pi * scale)
    return (f"with sigma_x = {case.model.sigma:.3f} the squared error of a small VAE + 2 sigma_x^2 KL is "
            f"{error + scale * kl:.6f}; -2 sigma_x^2 ELBO, less its constant, is {scale * (loss - constant):.6f}")


def bound() -> str:
    """Return log p(x), the ELBO and their difference, twice, in a linear-Gaussian world."""
    world = LinearGaussian(W=np.array([[1.0, 2.0]]), b=np.zeros(2), sigma=0.5)
    x, q = np.array([[0.8, 0.5]]), Posterior(np.array([[0.3]]), np.array([[-1.0]]))
    log_p, elbo, gap = (float(value[0]) for value in (world.log_p(x), world.elbo(x, q), world.gap(x, q)))
    return (f"in a linear-Gaussian world log p(x) = {log_p:.6f}, ELBO = {elbo:.6f}; the difference is "
            f"{log_p - elbo:.6f}, and KL(q || posterior) = {gap:.6f}")


def divergence() -> str:
    """Return both directions of a divergence, and the two averages that it is made of."""
    p, q = Discrete([0.7, 0.2, 0.1]), Discrete([0.4, 0.4, 0.2])
    return (f"p = (0.7, 0.2, 0.1), q = (0.4, 0.4, 0.2): KL(p || q) = {kl(p, q):.6f} = cross entropy "
            f"{cross_entropy(p, q):.6f} - entropy {entropy(p):.6f} nats; KL(q || p) = {kl(q, p):.6f}")


def joint() -> str:
    """Return the joint divergence and its three decompositions in a world of two outcomes."""
    view = joint_view([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], [0.5, 0.5], [[0.7, 0.3], [0.4, 0.6]])
    sums = ", ".join(f"{value:.6f}" for value in view.decompositions)
    return f"in a world of two outcomes the joint KL is {view.joint_kl:.6f}, and its three sums are {sums} nats"


def prior_draws() -> str:
    """Return the share of draws from the prior that count, for x = (1, ..., 1), p(x | z) = N(z, 1/4)."""
    nodes, weights = gauss_hermite(80, 1)
    w = np.exp(-2 * (1 - nodes[:, 0]) ** 2)
    share = float(np.sum(weights * w) ** 2 / np.sum(weights * w**2))
    return (f"for x = (1, ..., 1) and p(x | z) = N(z, 1/4), of draws from the prior {share:.0%} count in one "
            f"dimension, {share**8:.1g} in 8, {share**32:.0e} in 32")


NUMBERS: dict[str, Callable] = {
    **dict.fromkeys([f"E{k}" for k in range(1, 8)] + [f"D{k}" for k in range(1, 6)] + ["T8", "S10"],
                    gradient),
    **dict.fromkeys(("T7", "T9"), partial(weight, "bernoulli", 0.4)), "T16": partial(weight, "gaussian", 1.0),
    **dict.fromkeys(("E8", "E9"), partial(gradient, likelihood="gaussian")),
    **dict.fromkeys(("L1", "L2", "L3"), partial(gradient, likelihood="continuous_bernoulli")),
    **dict.fromkeys(("L4", "L5"), partial(gradient, likelihood="gaussian_scalar")),
    **dict.fromkeys([f"L{k}" for k in range(6, 11)], partial(gradient, likelihood="gaussian_diagonal")),
    **dict.fromkeys(("L11", "L12"), partial(gradient, likelihood="gaussian_optimal")),
    **{f"S{k}": partial(gradient, estimator=name, n_samples=3, beta=1.0) for k, name in {
        1: "monte_carlo", 2: "iwae", 3: "stl", 4: "monte_carlo", 5: "monte_carlo", 6: "iwae", 7: "stl", 8: "dreg",
        9: "score_function", 11: "score_function"}.items()},
    **dict.fromkeys(("T1", "T2", "T3"), divergence), **dict.fromkeys(("T18", "T19", "T20"), joint),
    **dict.fromkeys([*(f"G{k}" for k in range(1, 8)), "T11", "T13", "T14", "T15", "T17"], bound), "T12": prior_draws,
    "T6": partial(exercise, "kl_normal"), "T10": partial(exercise, "sample"), "O2": partial(exercise, "adam"),
    "T22": partial(exercise, "attribute_vector"), "T23": partial(exercise, "d_logvar")}


def checked_now(word: str) -> str:
    """Return a sentence with a number that was computed just now, for a tag or a fault; "" if there is none."""
    if word in BUGS:
        detector = BUGS[word].detected_by[0]
        return f"planted now, {detector} finds: {detections(word, detectors=[detector])[detector]}"
    return NUMBERS[word]() if word in NUMBERS else ""
