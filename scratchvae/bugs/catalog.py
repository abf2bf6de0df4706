"""The museum of bugs: faults that real VAEs had, injected on request, and the detectors that find them.

Nine hand-written NumPy VAEs were read for this project.  Six had a wrong sampler, gradient or trainer, and most of
these had a learning curve that looks fine.  `BUGS` holds such faults as patches of this package; `inject(name)` injects
one while a with block runs.  `DETECTORS` holds what finds them; `examine(case)` asks them all.

>>> from scratchvae.bugs import examine, inject, random_case
>>> with inject("variance_for_sigma"):
...     found = examine(random_case(0, n_latent=1), ["gradient check", "sampler moments"])
>>> [name for name, finding in found.items() if finding]            # the gradient matches the loss, which is wrong
['sampler moments']
"""
from typing import NamedTuple

import numpy as np

from ..data.loading import Dataset
from ..errors import ScratchVAEError
from ..history import History
from ..optimizers import SGD
from ..training import Trainer
from ..vae import VAE
from . import detectors, estimators, heads, likelihoods, networks, reporting, training, training_detectors
from .cases import Case, random_case
from .injection import find_bug, inject

FILES = (heads, networks, likelihoods, estimators, training, reporting)       # to import them fills BUGS

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


def examine(case: Case, names: list | None = None) -> dict:
    """Ask detectors, all or those named, about a case; return {name: what it found wrong, "" if nothing}.

    The case stays as it is: each detector works on its own model with the case's parameters.
    """
    theta, found = case.model.parameters.flat.copy(), {}
    for name in DETECTORS if names is None else names:
        model = case.new_model()
        model.parameters.flat[:] = theta
        try:
            with np.errstate(all="ignore"):                 # the detector reports an overflow, not NumPy
                found[name] = DETECTORS[name](case._replace(model=model))
        except ScratchVAEError as error:
            found[name] = f"stopped: {error}"
    return found


def detections(name: str, seed: int = 0, *, detectors: list | None = None) -> dict:
    """Inject a bug and return what `examine` finds on the random case of a seed, with all detectors or those named."""
    with inject(name) as bug:
        return examine(random_case(seed, **bug.case_settings), detectors)


class Demonstration(NamedTuple):
    """Two runs on the same data and seeds, without and with a bug, and what the detectors find in the second.

    If training with the bug failed, `stopped` is the reason and `wrong` is shorter than `right`.
    """

    right: History
    wrong: History
    stopped: str
    findings: dict


def demonstrate(name: str, data: Dataset, *, epochs: int = 15, seed: int = 0) -> Demonstration:
    """Train a small VAE with and without a bug, one of `BUGS`, and return the Demonstration.

    The held-out part of the data is measured after each epoch.  The seed is that of the weights, noise and order, and
    of the case that the detectors examine.
    """
    right, wrong, stopped = train_both(name, data, epochs=epochs, seed=seed)
    return Demonstration(right, wrong, stopped, detections(name, seed))


def demonstration_settings(name: str) -> dict:
    """Return the settings of the small VAE that is trained with a bug."""
    settings = find_bug(name).settings
    gray = {"sigma": 0.25} if settings.get("likelihood") == "gaussian" else {}          # at 1 no code is worth its KL
    return {"activation": "tanh", **gray, **settings, "hidden": (32, 32), "n_latent": 4}


def train_both(name: str, data: Dataset, *, epochs: int = 15, seed: int = 0) -> tuple[History, History, str]:
    """Return the histories of training without and with a bug, and why the second stopped, if it did.

    The arguments are those of `demonstrate`.
    """
    bug, model_settings = find_bug(name), demonstration_settings(name)
    settings = dict(batch_size=32, learning_rate=5e-3, validation=data.test, seed=seed,
                    optimizer="sgd" if bug.targets == (SGD.update,) else "adam",
                    binarize="none" if model_settings.get("likelihood") == "gaussian" else "dynamic")

    def train():
        model = VAE(data.train.shape[1], seed=seed, **model_settings)
        trainer = Trainer(model, data.train, **settings)
        try:
            trainer.run(epochs // 2)
            saved, trainer = trainer.checkpoint(), Trainer(model, data.train, **settings)
            trainer.restore(*saved)                          # some faults show only in a resumed run
            trainer.run(epochs)
        except ScratchVAEError as error:
            return trainer.state.history, str(error)
        return trainer.state.history, ""

    right, _ = train()
    with inject(name), np.errstate(all="ignore"):
        wrong, stopped = train()
    return right, wrong, stopped
