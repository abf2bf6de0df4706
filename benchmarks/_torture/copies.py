"""Models and trainers copied in the middle of training, in every way, again and again."""
import copy
import pickle

import numpy as np

from scratchvae import Autoencoder, VAE
from scratchvae.likelihoods import LIKELIHOODS
from scratchvae.training import Trainer

from .verdict import Verdict

WAYS = [copy.copy, copy.deepcopy, *((lambda thing, n=n: pickle.loads(pickle.dumps(thing, n)))
                                    for n in range(pickle.HIGHEST_PROTOCOL + 1))]


def run(tries):
    """The trial: a run that is replaced by a copy of itself after random steps ends as the undisturbed one."""
    rng, wrong = np.random.default_rng(0), []
    for i in range(tries):
        n_visible, n_latent, width = rng.integers(1, 12, 3)
        kind = (VAE, Autoencoder)[rng.integers(2)]
        settings = dict(n_visible=n_visible, n_latent=n_latent, hidden=(width,), seed=i,
                        likelihood=str(rng.choice(list(LIKELIHOODS))), dtype=str(rng.choice(["float32", "float64"])))
        X = rng.random((int(rng.integers(5, 40)), n_visible))
        training = dict(batch_size=int(rng.integers(1, 6)), optimizer=str(rng.choice(["adam", "sgd"])))
        whole, cut = (Trainer(kind(**settings), X, **training) for _ in range(2))
        whole.run(2)
        while cut.state.epoch < 2:
            last = cut.state.optimizer.step + int(rng.integers(1, 12))
            cut.run(2, after_step=lambda it, _: setattr(it, "stop", it.state.optimizer.step == last))
            left, cut = cut, WAYS[rng.integers(len(WAYS))](cut)
            left.model.parameters.flat[:] = np.nan                   # what was copied no longer matters
        if cut.state != whole.state or not np.array_equal(cut.model.parameters.flat, whole.model.parameters.flat):
            wrong.append(settings)
    return Verdict("copies in the middle of training", f"{tries - len(wrong)} of {tries} end in the same bits",
                   f"{tries}", not wrong, {"tries": tries, "wrong": [str(settings) for settings in wrong[:10]]})
