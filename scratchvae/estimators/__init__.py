"""The estimators by name, and the two passes that use them.

One table says what an estimator is.  `elbo` itself is the case "analytic"; the others stand beside it in the same
order of steps, differ in the weights that enter the decoder's backward and in what is written into the encoder's
head (`heads`), and share all the rest: one decoder backward for all K samples, one encoder backward for their sum.
"""
from typing import Callable, NamedTuple

import numpy as np

from .. import elbo
from ..arrays import as_finite, as_numbers
from ..elbo import Objective
from ..errors import ConfigurationError, ShapeError
from ..estimators import heads, penalised
from ..kernels.gaussian import gaussian_forward
from ..schedules import check_beta, PENALTIES
from ..validation import instance_of, one_of


class Estimator(NamedTuple):
    """What tells one estimator from another.

    `write_head` writes d_head, `weigh` gives v from log w, `loss` the reported loss from log w.  `exact`: the gradient
    is the derivative of that loss with eps held.  `closed_form`: the KL is, and the loss is E4's.  `pairs`: the second
    half of an example's samples mirrors the first.  `separate`: every sample's nll must depend on its own z alone.
    """

    write_head: Callable
    weigh: Callable = heads.uniform
    loss: Callable = heads.mean_loss
    exact: bool = False
    closed_form: bool = False
    pairs: bool = False
    separate: bool = False


ESTIMATORS = {
    "analytic": Estimator(heads.closed_form, exact=True, closed_form=True),                             # (E6, E7)
    "monte_carlo": Estimator(heads.total_derivative, exact=True),                                       # (S5)
    "stl": Estimator(heads.path_derivative),                                                            # (S7)
    "score_function": Estimator(heads.score_function, separate=True),                                   # (S9)
    "antithetic": Estimator(heads.closed_form, exact=True, closed_form=True, pairs=True),               # (E6, E7)
    "iwae": Estimator(heads.total_derivative, heads.normalised, heads.bound_loss, exact=True),          # (S5, S6)
    "dreg": Estimator(heads.doubly_reparameterised, heads.normalised, heads.bound_loss, separate=True),     # (S8)
}
# Not to train with: S7 under S6's weights is biased, and the lab shows by how much.
SPECIMENS = {"iwae_stl": Estimator(heads.path_derivative, heads.normalised, heads.bound_loss, separate=True)}
EVERY = {**ESTIMATORS, **SPECIMENS}

# S9's b, from the cost -log w (B, K) and the average loss of earlier steps.
BASELINES = {
    "none": lambda cost, average_loss: 0.0,
    "moving_average": lambda cost, average_loss: average_loss,
    "leave_one_out": lambda cost, average_loss: (cost.sum(axis=1, keepdims=True) - cost) / (cost.shape[1] - 1),
}


def mirror(eps, batch):
    """Let the second half of each of `batch` examples' samples in eps (B*K, Z) be minus the first half.

    Examples
    --------
    >>> eps = np.array([[1.0], [9.0], [2.0], [9.0]])                    # two examples of two samples
    >>> mirror(eps, 2)
    >>> eps.ravel().tolist()
    [1.0, -1.0, 2.0, -2.0]
    """
    samples = eps.reshape(batch, -1, eps.shape[1])
    half = samples.shape[1] // 2
    np.negative(samples[:, :half], out=samples[:, half:])


def check_settings(name, n_samples, baseline, likelihood):
    """Raise ConfigurationError if an estimator's settings do not go together."""
    if ESTIMATORS[name].pairs and n_samples % 2:
        raise ConfigurationError(f"n_samples is {n_samples}; estimator {name!r} pairs every eps with -eps, so it needs "
                                 "an even number of samples. Use 2.")
    if baseline != "none" and name != "score_function":
        raise ConfigurationError(f"baseline is {baseline!r} and estimator {name!r}; only 'score_function' has a "
                                 "baseline. Leave baseline='none', or choose that estimator.")
    if baseline == "leave_one_out" and n_samples < 2:
        raise ConfigurationError(f"n_samples is {n_samples}; baseline 'leave_one_out' is the mean of the example's "
                                 "other samples, so it needs at least 2. Use for example 4.")
    if ESTIMATORS[name].separate and likelihood.for_evaluation() is not likelihood:
        raise ConfigurationError(f"likelihood is {likelihood.name!r}; estimator {name!r} needs one under which the "
                                 "loss of a sample depends on its own z alone, and this one fits its sigma to the "
                                 "whole batch. Choose another likelihood, or estimator 'analytic'.")


def check_schedule(name, schedule):
    """Raise ConfigurationError if a schedule of beta needs the KL's closed form and the estimator has not got it."""
    if isinstance(schedule, PENALTIES) and not ESTIMATORS[name].closed_form:
        known = ", ".join(repr(key) for key, estimator in ESTIMATORS.items() if estimator.closed_form)
        raise ConfigurationError(f"beta is {schedule!r} and estimator {name!r}; free bits and capacity look at the KL "
                                 f"in closed form. Choose an estimator that has it: {known}.")


def _objective(estimator, ws, log_w, kl):
    return Objective(float(estimator.loss(log_w).mean()), float(ws.nll.mean()), float(kl.mean()))


def forward(name, vae, p, ws, beta):
    """Compute the objective of ws.x and ws.eps that the estimator called `name` reports.

    Parameters
    ----------
    name : str
        In ESTIMATORS or SPECIMENS.
    vae, p, ws : VAE, Parameters, Workspace
        As in `elbo.forward`; "antithetic" overwrites the second half of each example's eps.
    beta : float or penalty
        The KL's weight, or what a schedule gives in its place (`scratchvae.schedules`).

    Returns
    -------
    Objective
        Nats per example.  Without the closed form, kl is the mean of S1 over the samples, which may be negative; the
        loss of K weighted samples (S6) is at most reconstruction + beta kl, every other loss is equal to it.
    """
    estimator = EVERY[name]
    if estimator.pairs:
        mirror(ws.eps, len(ws.x))
    if estimator.closed_form:
        room = penalised if hasattr(beta, "slope") else elbo
        return room.forward(vae, p, ws, beta)
    elbo.forward_to_outputs(vae, p, ws)
    vae.likelihood.nll(p.likelihood, ws.decoder[-1], ws.x, ws.nll)
    kl = heads.sample_kl(ws.encoder[-1], ws.eps, ws.z)
    return _objective(estimator, ws, heads.log_weights(ws.nll, kl, beta), kl)


def forward_backward(name, vae, p, ws, beta, gradient, baseline="none", average_loss=0.0):
    """Compute the objective and overwrite `gradient` (Parameters) with the estimator's gradient.

    Parameters
    ----------
    name, vae, p, ws, beta
        As in `forward`.
    gradient : Parameters
        Overwritten.
    baseline : str
        In BASELINES, for "score_function".
    average_loss : float
        What the baseline "moving_average" subtracts, in nats.

    Returns
    -------
    Objective
        As `forward` returns it.                                                                    (S1 to S10)
    """
    estimator = EVERY[name]
    if estimator.pairs:
        mirror(ws.eps, len(ws.x))
    if estimator.closed_form:
        room = penalised if hasattr(beta, "slope") else elbo
        return room.forward_backward(vae, p, ws, beta, gradient)
    elbo.forward_to_outputs(vae, p, ws)
    head, per_example = ws.encoder[-1], 1.0 / len(ws.x)
    kl = heads.sample_kl(head, ws.eps, ws.z)                                                        # (S1)
    if estimator.weigh is heads.uniform:
        weights = heads.uniform(kl)
    else:                                                 # needs every nll before there is a cotangent: one pass more
        vae.likelihood.nll(p.likelihood, ws.decoder[-1], ws.x, ws.nll)
        weights = estimator.weigh(heads.log_weights(ws.nll, kl, beta))                              # (S6)
    d_z = None if estimator.write_head is heads.score_function else ws.d_z
    np.multiply(per_example, weights.ravel(), out=ws.d_nll)
    elbo.decoder_backward(vae, p, ws, gradient, d_z)                                                # (E5)
    log_w = heads.log_weights(ws.nll, kl, beta)                                                     # (S2)
    b = BASELINES[baseline](-log_w, average_loss)
    draws = heads.Draws(head, ws.eps, ws.z, ws.d_z, log_w, weights, beta, per_example, b)
    estimator.write_head(draws, ws.d_encoder[-1])                                                   # (S5, S7 to S9)
    vae.encoder.backward(p.encoder, ws.x, ws.encoder, ws.d_encoder, gradient.encoder, None)
    return _objective(estimator, ws, log_w, kl)


def head_gradient(name, head, eps, nll, d_nll_dz, beta=1.0, baseline="none", average_loss=0.0):
    """Return the estimator's gradient with respect to the encoder's head, example by example.

    The lab's way in: no network runs; the caller says what the decoder makes of each z.

    Parameters
    ----------
    name : str
        In ESTIMATORS or SPECIMENS; for "antithetic" pass eps through `mirror` first, before making z of it.
    head : ndarray (B, 2Z)
        mu and logvar.
    eps : ndarray (B*K, Z)
        Noise; z = mu + sigma eps (E2).
    nll, d_nll_dz : ndarray (B*K,), (B*K, Z)
        -log p(x | z) of each sample in nats, and its derivative with respect to its own z.
    beta, baseline, average_loss
        As in `forward_backward`, beta a number.

    Returns
    -------
    ndarray (B, 2Z)
        d_mu and d_logvar of each example's own loss: without the 1/B of E4.

    Raises
    ------
    ConfigurationError, ShapeError
        For unknown names, or arrays that do not fit each other.

    Examples
    --------
    >>> head, eps = np.array([[0.0, 0.0]]), np.array([[0.5], [-0.5]])
    >>> z = eps                                                         # p(x | z) = N(x; z, 1) at x = 1
    >>> head_gradient("analytic", head, eps, 0.5 * (1 - z[:, 0])**2, z - 1).tolist()
    [[-1.0, 0.125]]
    """
    one_of("name", name, EVERY)
    one_of("baseline", baseline, BASELINES)
    check_beta(beta)
    as_finite(average_loss, "average_loss", ndim=(0,))
    for what, array in (("head", head), ("eps", eps), ("nll", nll), ("d_nll_dz", d_nll_dz)):
        as_numbers(array, what, ndim=(1,) if what == "nll" else (2,))
        instance_of(what, array, np.ndarray, "Pass a NumPy array.")
    n_latent = head.shape[1] // 2
    if head.shape[1] != 2 * n_latent or eps.shape[1] != n_latent or len(eps) % len(head):
        raise ShapeError(f"head has shape {head.shape} and eps {eps.shape}; expected (B, 2Z) and (B*K, Z). Pass K rows "
                         "of eps for each row of head.")
    if not head.dtype == eps.dtype == d_nll_dz.dtype or head.dtype not in (np.float32, np.float64):
        raise ShapeError(f"head has dtype {head.dtype}, eps {eps.dtype} and d_nll_dz {d_nll_dz.dtype}; expected one of "
                         "float32 and float64 for all. Convert them with astype.")
    if nll.shape != (len(eps),) or d_nll_dz.shape != eps.shape:
        raise ShapeError(f"nll has shape {nll.shape} and d_nll_dz {d_nll_dz.shape}; expected {(len(eps),)} and "
                         f"{eps.shape}, one each for every row of eps. Evaluate both at the same z.")
    estimator, z, d_head = EVERY[name], np.empty_like(eps), np.empty_like(head)
    gaussian_forward(head, eps, z, np.empty(len(head)))
    log_w = heads.log_weights(nll, heads.sample_kl(head, eps, z), beta)
    weights = estimator.weigh(log_w)
    d_z = weights.reshape(-1, 1).astype(eps.dtype) * d_nll_dz
    b = BASELINES[baseline](-log_w, average_loss)
    estimator.write_head(heads.Draws(head, eps, z, d_z, log_w, weights, beta, 1.0, b), d_head)
    return d_head
