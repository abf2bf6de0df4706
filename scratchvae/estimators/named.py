"""The estimators by name, and their gradients without a network."""
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from ..arrays import as_finite, as_numbers
from ..errors import ConfigurationError, ShapeError
from ..kernels.gaussian import gaussian_forward
from ..likelihoods import Bernoulli
from ..schedules import check_beta
from ..validation import instance_of, one_of
from .analytic import Analytic, Antithetic
from .base import Draws, Estimator
from .importance import DReG, IWAE, IWAESTL
from .pathwise import MonteCarlo, STL
from .sampled import log_weights, sample_kl
from .score_function import ScoreFunction

ESTIMATORS = {kind.name: kind for kind in (Analytic, MonteCarlo, STL, ScoreFunction, Antithetic, IWAE, DReG)}
SPECIMENS = {IWAESTL.name: IWAESTL}             # biased: not to train with, but to show by how much
EVERY = {**ESTIMATORS, **SPECIMENS}


def make_estimator(estimator: Any, **settings: Any) -> Estimator:
    """Return the estimator of a name in ESTIMATORS with the `settings` of its class, or an Estimator itself.

    Raises ConfigurationError for an unknown name, a setting that the estimator does not have, or another kind of
    object.

    Examples
    --------
    >>> make_estimator("score_function", baseline="leave_one_out")
    ScoreFunction(baseline='leave_one_out')
    """
    if not isinstance(estimator, str):
        return instance_of("estimator", estimator, (str, Estimator), "Pass a name, or an object such as IWAE().")
    one_of("estimator", estimator, ESTIMATORS)
    for name, value in settings.items():
        having = [kind.name for kind in ESTIMATORS.values() if name in [field.name for field in fields(kind)]]
        if estimator not in having:
            raise ConfigurationError(f"{name} is {value!r} and estimator {estimator!r}; only "
                                     f"{' and '.join(map(repr, having)) or 'another'} has a {name}. Leave it out, or "
                                     "choose that estimator.")
    return ESTIMATORS[estimator](**settings)


def estimator_settings(estimator: Any) -> str | dict:
    """Return an estimator as a file holds it: its name, with its settings if they are not the defaults.

    Raises ConfigurationError for a custom estimator, which has no name in ESTIMATORS.

    Examples
    --------
    >>> estimator_settings(IWAE()), estimator_settings(ScoreFunction("moving_average"))
    ('iwae', {'name': 'score_function', 'baseline': 'moving_average'})
    """
    name = estimator.name
    if ESTIMATORS.get(name) is not type(estimator):
        raise ConfigurationError(f"estimator {estimator!r} is a custom object; a file holds only settings and numbers. "
                                 "Save dict(parameters.segments()) yourself, with np.savez.")
    return name if estimator == make_estimator(name) else {"name": name, **asdict(estimator)}


def head_gradient(estimator: Any, head: np.ndarray, eps: np.ndarray, nll: np.ndarray, d_nll_dz: np.ndarray,
                  *, beta: float = 1.0, state: dict | None = None) -> np.ndarray:
    """Return the estimator's gradient with respect to the encoder's head, example by example.

    No network runs: the caller passes what the decoder computes from each z.  Raises ConfigurationError or ShapeError
    for unknown names, or arrays that do not fit each other.

    Parameters
    ----------
    estimator : str or Estimator
        A name in EVERY, or an object; for `Antithetic` pass eps through its `pair` first, before computing z from it.
    head, eps : ndarray (B, 2Z), (B*K, Z)
        mu and logvar, and the noise of z = mu + sigma eps (E2).
    nll, d_nll_dz : ndarray (B*K,), (B*K, Z)
        -log p(x | z) of each sample in nats, and its derivative with respect to its own z.
    beta : float
        The KL's weight.
    state : dict, optional
        As in `Estimator.forward_backward`, finite numbers.

    Returns
    -------
    ndarray (B, 2Z)
        d_mu and d_logvar of each example's own loss: without the 1/B of E4.

    Examples
    --------
    >>> head, eps = np.array([[0.0, 0.0]]), np.array([[0.5], [-0.5]])
    >>> z = eps                                                         # p(x | z) = N(x; z, 1) at x = 1
    >>> head_gradient("analytic", head, eps, 0.5 * (1 - z[:, 0])**2, z - 1).tolist()
    [[-1.0, 0.125]]
    """
    if isinstance(estimator, str):
        estimator = EVERY[one_of("estimator", estimator, EVERY)]()
    estimator = make_estimator(estimator)
    check_beta(beta)
    for name, number in (state or {}).items():
        as_finite(number, name, ndim=(0,))
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
    estimator.check(len(eps) // len(head), Bernoulli())           # as of any likelihood with a loss of each z alone
    z, d_head = np.empty_like(eps), np.empty_like(head)
    gaussian_forward(head, eps, z, np.empty(len(head)))
    log_w = log_weights(nll, sample_kl(head, eps, z), beta)
    weights = estimator.weigh(log_w)
    d_z = weights.reshape(-1, 1).astype(eps.dtype) * d_nll_dz
    estimator.write_head(Draws(head, eps, z, d_z, log_w, weights, beta, 1.0), d_head, state)
    return d_head
