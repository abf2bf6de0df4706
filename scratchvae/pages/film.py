"""The film of a training: the run repeated from its seed, with a picture of it at some of its steps."""
import numpy as np

from ..data.loading import Dataset
from ..training import held_out_objective, Trainer
from ..vae import VAE
from .packing import pack, rounded

FRAMES, CODES, ROWS = 24, 150, 500         # pictures of the training; held-out rows whose codes, and loss, each shows
PIXELS, MOST_DRAWS, GRAYS = 4800, 8, 15    # of the draws that each decodes, their number, and levels of gray above 0


def film(trainer: Trainer, steps: int, data: Dataset, model: VAE, axes: list[int]) -> dict:
    """Train for `steps` steps; return what JSON holds for the film, and whether it ended in the bits of `model`.

    `trainer` begins the run of `model` anew, and `axes` are the two latents that are shown.  A frame has the rate and
    the distortion of held-out rows, the codes of some, and what the decoder makes of some fixed draws from the prior.
    """
    wanted = np.unique(np.rint(1 + (steps - 1) * np.linspace(0, 1, FRAMES)**3)).tolist()     # dense where much happens
    n_draws = min(MOST_DRAWS, max(1, PIXELS // data.test.shape[1]))
    z = np.random.default_rng(0).standard_normal((n_draws, model.n_latent))
    taken, losses, codes, draws = [], [], [], []

    def after_step(trainer, objective):
        step = trainer.state.optimizer.step
        trainer.stop = step == steps
        if step not in wanted[len(taken):len(taken) + 1]:
            return
        held = trainer.model.for_evaluation()
        taken.append(step)
        losses.append(held_out_objective(held, data.test[:ROWS], binarize=trainer.binarize, seed=trainer.seed)[1:])
        codes.append(held.encode(data.test[:CODES]).mu[:, axes])
        draws.append(held.decode(z, np.arange(n_draws) % max(1, held.n_conditions)))

    trainer.run(2**31, after_step)
    pictures = np.array(draws)
    low, high = float(pictures.min()), float(pictures.max())
    grays = np.rint(GRAYS * (pictures - low) / ((high - low) or 1)).astype("uint8")
    return {"arrays": pack({"codes": rounded(np.array(codes), 127), "draws": (grays, (high - low) / GRAYS)}),
            "steps": taken, "losses": losses, "low": low, "axes": axes,
            "same": bool(np.array_equal(trainer.model.parameters.flat, model.parameters.flat))}
