"""The museum of bugs: faults that real VAEs had, planted at will, and the detectors that convict them.

Of nine hand-written NumPy VAEs read for this project six had a wrong sampler, gradient or trainer, most with a learning
curve that looks fine.  `BUGS` holds such faults as patches of this very package; `inject(name)` puts one in for the
length of a with block.  `DETECTORS` holds what finds them; `examine(case)` asks them all.

>>> from scratchvae.bugs import examine, inject, random_case
>>> with inject("variance_for_sigma"):
...     found = examine(random_case(0, n_latent=1), ["gradient check", "sampler moments"])
>>> [name for name, finding in found.items() if finding]            # the gradient is that of the wrong loss
['sampler moments']
"""
from typing import NamedTuple

import numpy as np

from ..errors import ScratchVAEError
from ..history import History
from ..training import Trainer
from ..vae import VAE
from . import detectors, estimators, heads, likelihoods, networks, reporting, training, training_detectors
from .cases import Case, random_case
from .injection import Bug, BUGS, find_bug, inject

__all__ = ["BUGS", "DETECTORS", "Bug", "Case", "Demonstration", "convictions", "demonstrate", "examine", "find_bug",
           "inject", "mystery_bug", "random_case"]

ROOMS = (heads, networks, likelihoods, estimators, training, reporting)       # importing them has filled BUGS

DETECTORS = {
    "gradient check": detectors.gradient_check,
    "layer check": detectors.layer_check,
    "networks by hand": detectors.networks_by_hand,
    "trainer's gradient": training_detectors.trainers_gradient,
    "sampler moments": training_detectors.sampler_moments,
    "generative moments": training_detectors.generative_moments,
    "probabilities sum to one": detectors.probabilities_sum_to_one,
    "KL by quadrature": detectors.kl_by_quadrature,
    "K-sample bound": detectors.k_sample_bound,
    "linear-Gaussian oracle": detectors.linear_gaussian_oracle,
    "beta linearity": detectors.beta_linearity,
    "batch independence": detectors.batch_independence,
    "extreme inputs": detectors.extreme_inputs,
    "initial weights": training_detectors.initial_weights,
    "optimizer against a scalar reference": training_detectors.optimizer_reference,
    "rows of a step": training_detectors.rows_of_a_step,
    "reported = differentiated": training_detectors.reported_is_differentiated,
    "held-out objective": training_detectors.held_out,
    "replay": training_detectors.replay,
}


def examine(case, names=None):
    """Ask detectors about a case and return {name: what it found wrong, "" if nothing}.

    Parameters
    ----------
    case : Case
        Unchanged: each detector works on a model of its own with the case's parameters.
    names : list of str, optional
        Which of `DETECTORS`; all if absent.
    """
    theta, found = case.model.parameters.flat.copy(), {}
    for name in DETECTORS if names is None else names:
        model = case.new_model()
        model.parameters.flat[:] = theta
        try:
            with np.errstate(all="ignore"):                 # a fault may overflow: that is for the detector to say
                found[name] = DETECTORS[name](case._replace(model=model))
        except ScratchVAEError as error:
            found[name] = f"stopped: {error}"
    return found


def convictions(name, seed=0, detectors=None):
    """Plant a bug and return {detector: finding} on the random case of a seed.

    Parameters
    ----------
    name : str
        One of `BUGS`.
    seed : int
        Of the case.
    detectors : list of str, optional
        Which to ask; all if absent.
    """
    with inject(name) as bug:
        return examine(random_case(seed, **bug.case_settings), detectors)


def mystery_bug(seed):
    """Return the name of the bug that a seed hides: for exercises.

    Examples
    --------
    >>> mystery_bug(7) == mystery_bug(7), mystery_bug(7) in BUGS
    (True, True)
    """
    return str(np.random.default_rng(seed).choice(list(BUGS)))


class Demonstration(NamedTuple):
    """Two runs on the same data and seeds, and what the detectors say about the one with the bug.

    `right` and `wrong` are Histories (the latter shorter, and `stopped` the reason, if training failed).
    """

    right: History
    wrong: History
    stopped: str
    findings: dict


def demonstrate(name, data, epochs=15, seed=0):
    """Train a small VAE with and without a bug and return the Demonstration.

    Parameters
    ----------
    name : str
        One of `BUGS`.
    data : Dataset
        What to train on; the held-out part is looked at after each epoch.
    epochs : int
        Of each run.
    seed : int
        Of weights, noise, order, and of the case that the detectors look at.
    """
    bug = find_bug(name)
    model_settings = {"hidden": (32, 32), "n_latent": 4, "activation": "tanh", **{
        key: value for key, value in bug.settings.items() if key not in ("hidden", "n_latent")}}
    settings = dict(batch_size=32, learning_rate=5e-3, validation=data.test, seed=seed,
                    optimizer="sgd" if bug.targets == ("optimizers.SGD.update",) else "adam",
                    binarize="none" if model_settings.get("likelihood") == "gaussian" else "dynamic")

    def train():
        model = VAE(data.train.shape[1], seed=seed, **model_settings)
        trainer = Trainer(model, data.train, **settings)
        try:
            trainer.run(epochs // 2)
            saved, trainer = trainer.checkpoint(), Trainer(model, data.train, **settings)
            trainer.restore(*saved)                          # interrupted halfway: some faults show only then
            trainer.run(epochs)
        except ScratchVAEError as error:
            return trainer.state.history, str(error)
        return trainer.state.history, ""

    right, _ = train()
    with inject(name), np.errstate(all="ignore"):
        wrong, stopped = train()
    return Demonstration(right, wrong, stopped, convictions(name, seed))
