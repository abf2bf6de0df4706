"""The estimator lab: bias, variance, signal-to-noise and cost of every estimator (T8, T14).

Estimators differ only in the gradient of the encoder's head, so that is what is measured, for single examples and many
draws of eps; the decoder runs once for all estimators.  Three scenes:

    oracle      a linear-Gaussian VAE with one latent, whose q is close to the posterior, as after training.  The
                expected gradient is known exactly: in closed form for the ELBO (G7, G8), and for the K-sample bound as
                the derivative of L_K, which a quadrature gives for any K (G17).
    posterior   the same with q = p(z | x): here log w is the same for every z, and some variances are 0.
    digits      a VAE trained on the bundled digits.  Nothing is exact: an estimator is compared with another one
                that has the same expectation, and each has its own draws.
"""
import functools
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..data.loading import load_data
from ..elbo import decoder_backward, Workspace
from ..errors import ConfigurationError
from ..estimators import Antithetic, EVERY, head_gradient, make_estimator
from ..estimators.sampled import log_weights, sample_kl
from ..kernels.gaussian import gaussian_forward
from ..oracles import LinearGaussian
from ..oracles.rules import even_normal, expected_log_sum
from ..parameters import Affine, Parameters
from ..schedules import Constant
from ..vae import VAE
from ..validation import check_seed, positive_integer, SEEDS

SETTINGS = (("analytic", 1, "none"), ("monte_carlo", 1, "none"), ("stl", 1, "none"), ("antithetic", 2, "none"),
            ("score_function", 1, "none"), ("score_function", 1, "moving_average"),
            ("score_function", 8, "leave_one_out"), ("iwae", 1, "none"), ("iwae", 8, "none"), ("iwae", 64, "none"),
            ("dreg", 1, "none"), ("dreg", 8, "none"), ("dreg", 64, "none"), ("iwae_stl", 8, "none"))
MOST_SAMPLES = max(n_samples for _, n_samples, _ in SETTINGS)
MOST_DRAWS = 1 << 22     # most draws for an example: their gradients take half a gigabyte
BIASED = 5.0             # largest |z| of an unbiased estimator; 50 means of many exceed it in one of 30,000 seeds
LEAST_GRADIENTS = 32     # fewer tell their own variance too badly for a verdict
ROUNDING = 1e-20         # a variance below this is rounding alone
POSTERIOR_OFFSET = 0.2   # difference of q's mean and log variance from the posterior's in the scene "oracle"
DIFFERENCE_STEP = 1e-3   # step of the fourth-order differences of L_K
ACCURACY = 1e-9          # error of these differences, which is added to the standard error of a z-score
DECODER_ROWS = 4096      # decoder rows in one call
DIGITS = 3               # held-out digits that are measured
BATCH_SIZE, ROUNDS = 32, 7    # rows of a timed step, and timed rounds
TIMED_SAMPLES = 8        # samples of each example that one timing covers: at K samples a step, 8 / K steps


class Measurement(NamedTuple):
    """One row of the lab.

    `n_samples` is K.  `bias_z` is the largest |mean - expectation| in standard errors over all examples and all numbers
    of the head, NaN for fewer than 32 gradients.  `against` says where the expectation is from: "exact", or another
    estimator.  `biased` is bias_z > 5.  `variance` is the sum over the head's numbers, in nats^2.  `signal_to_noise` is
    the mean of |expectation| / standard deviation over the numbers with any noise, NaN if there are none.  Both are
    averaged over examples.  `step_time` is the time of a training step on the digits' VAE, relative to estimator
    "analytic" with K = 1.
    """

    scene: str
    estimator: str
    n_samples: int
    baseline: str
    against: str
    bias_z: float
    biased: bool
    variance: float
    signal_to_noise: float
    step_time: float


class Scene(NamedTuple):
    """A float64 VAE, rows of data and, for one row alone, exact(name, K) -> (2Z,) if its expected gradient is known."""

    name: str
    vae: VAE
    X: np.ndarray
    exact: Callable | None = None


class _Draws(NamedTuple):
    """Noise eps (R, Z) for one example, and the decoder's results: nll (R,), d_nll_dz (R, Z)."""

    eps: np.ndarray
    nll: np.ndarray
    d_nll_dz: np.ndarray


def _decode(vae, x, head, eps):
    """Return the _Draws of one example x (1, D) with head (1, 2Z); d(nll)/dz is E5's d_z for a cotangent of 1."""
    nll, d_z = np.empty(len(eps)), np.empty_like(eps)
    gradient = Parameters.zeros(vae.parameters.layout, vae.dtype)
    for start in range(0, len(eps), DECODER_ROWS):
        piece = eps[start:start + DECODER_ROWS]
        ws = Workspace.allocate(vae.encoder, vae.decoder, 1, len(piece), vae.dtype)
        ws.x[:] = x
        gaussian_forward(head, piece, ws.z, ws.kl)
        vae.decoder.forward(vae.parameters.decoder, ws.code, ws.decoder)
        ws.d_nll.fill(1.0)
        decoder_backward(vae, vae.parameters, ws, gradient, ws.d_code)
        nll[start:start + DECODER_ROWS], d_z[start:start + DECODER_ROWS] = ws.nll, ws.d_z
    return _Draws(eps, nll, d_z)


def _estimator(name, baseline):
    """Return the estimator of a name and baseline; only the score function has a baseline other than "none"."""
    return EVERY[name]() if baseline == "none" else make_estimator(name, baseline=baseline)


def _gradients(estimator, n_samples, head, draws, state=None):
    """Return the head's gradient of every group of K draws, (R / K, 2Z)."""
    n = len(draws.eps) // n_samples
    return head_gradient(estimator, np.repeat(head, n, axis=0), *draws, state=state)


def _partner(name):
    """Return another estimator with the same expectation."""
    if EVERY[name].bound:
        return "dreg" if name == "iwae" else "iwae"
    return "monte_carlo" if name == "analytic" else "analytic"


def _sample_kl(head, eps):
    """Return r = log q - log p(z) of one example's draws, (1, R).                                        (S1)"""
    z = np.empty_like(eps)
    gaussian_forward(head, eps, z, np.empty(1))
    return sample_kl(head, eps, z)


def _measure(scene, setting, examples):
    """Return (against, bias_z, variance, signal_to_noise) of a setting; examples: (head, draws, mirrored, others)."""
    name, n_samples, baseline = setting
    estimator = _estimator(name, baseline)
    against, worst, variances, ratios = "exact" if scene.exact else _partner(name), 0.0, [], []
    for head, draws, mirrored, others in examples:
        state = estimator.initial_state()
        estimator.update_state(state, float((others.nll + _sample_kl(head, others.eps)[0]).mean()))
        found = _gradients(estimator, n_samples, head, mirrored if name == "antithetic" else draws, state)
        mean, variance = found.mean(axis=0), found.var(axis=0, ddof=1)
        own = variance / len(found)
        if scene.exact:
            expected, its = scene.exact(name, n_samples), ACCURACY**2
            signal = np.where(np.abs(expected) > ACCURACY, expected, 0.0)
        else:
            other = _gradients(against, n_samples, head, others)
            expected, its = other.mean(axis=0), other.var(axis=0, ddof=1) / len(other) + ACCURACY**2
            signal = (its * mean + own * expected) / (own + its)              # weighted by precision
        worst = max(worst, float((np.abs(mean - expected) / np.sqrt(own + its)).max()))
        variances.append(variance.sum())
        noisy = variance > ROUNDING                                # antithetic pairs may have an exact d_mu
        ratios.append(np.mean(np.abs(signal[noisy]) / np.sqrt(variance[noisy])) if noisy.any() else math.nan)
    worst = worst if len(found) >= LEAST_GRADIENTS else math.nan
    return against, worst, float(np.mean(variances)), float(np.mean(ratios))


def _examples(scene, draws, seed):
    """Yield (head (1, 2Z), draws, the same draws in antithetic pairs, other draws) of every example of a scene."""
    for i, head in enumerate(np.hstack(scene.vae.encode(scene.X))):
        rng, shape = np.random.default_rng([seed, i + 1]), (draws, len(head) // 2)      # [seed, 0] is seed itself
        eps, other = rng.standard_normal(shape), rng.standard_normal(shape)
        pairs = eps.copy()
        Antithetic().pair(pairs, draws // 2)
        yield head[None], *(_decode(scene.vae, scene.X[i:i + 1], head[None], noise) for noise in (eps, pairs, other))


def bound_gradient(vae: VAE, x: np.ndarray, head: np.ndarray, n_samples: int) -> np.ndarray:
    """Return the exact expected gradient of -L_K along the head (2Z,) of one example x (1, D), K = n_samples.

    The VAE has one or two latents.  The gradient is a fourth-order difference of the exact L_K (G17), without any
    estimator.

    Examples
    --------
    If q is the posterior, L_K is log p(x) for every K, which is the maximum:

    >>> world = LinearGaussian(np.array([[1.0, 2.0]]), np.zeros(2), 0.5).with_best_encoder()
    >>> x = world.sample(1)
    >>> bool(np.abs(bound_gradient(world.to_vae(), x, np.hstack(world.q(x))[0], 8)).max() < 1e-8)
    True
    """
    eps, weights = even_normal(vae.n_latent)

    def loss(at):
        mu, logvar = np.split(at, 2)
        outputs, nll = vae.decode_outputs(mu + np.exp(0.5 * logvar) * eps), np.empty(len(eps))
        vae.likelihood.nll(vae.parameters.likelihood, outputs, x, nll)
        log_w = log_weights(nll, _sample_kl(at[None], eps), 1.0)[0]
        return math.log(n_samples) - expected_log_sum(log_w, weights, n_samples)

    slopes = []
    for direction in DIFFERENCE_STEP * np.eye(len(head)):
        f = [loss(head + k * direction) for k in (1, -1, 2, -2)]
        slopes.append((8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * DIFFERENCE_STEP))
    return np.array(slopes)


def oracle_scene(name: str, off: float, *, seed: int = 0) -> Scene:
    """Return a linear-Gaussian Scene with one latent and one example; q's mu and logvar are the posterior's + off."""
    rng = np.random.default_rng(check_seed(seed))
    world = LinearGaussian(rng.standard_normal((1, 5)), rng.standard_normal(5), sigma=0.8).with_best_encoder()
    world = LinearGaussian(world.W, world.b, world.sigma, Affine(world.encoder.W, world.encoder.b + off))
    X, vae = world.sample(1, int(rng.integers(SEEDS))), world.to_vae()
    (head,), (of_elbo,) = np.hstack(world.q(X)), np.hstack(world.expected_head_gradient(X))
    of_bound = functools.cache(functools.partial(bound_gradient, vae, X, head))

    def exact(estimator, n_samples):
        return of_bound(n_samples) if EVERY[estimator].bound else of_elbo

    return Scene(name, vae, X, exact)


def digits_scene(epochs: int = 20, seed: int = 0) -> Scene:
    """Return the Scene of a float64 VAE trained on the bundled digits, drawn as 0 or 1; in X those above 1/2 are 1."""
    data = load_data("digits")
    vae = VAE(64, 8, hidden=(64,), dtype="float64", seed=check_seed(seed))
    vae.fit(data.train, epochs=epochs, batch_size=BATCH_SIZE, binarize="dynamic", seed=seed, learning_rate=3e-3)
    return Scene("digits", vae, (data.test[:BATCH_SIZE] > 0.5).astype(np.float64))


def step_times(vae: VAE, X: np.ndarray, *, settings: tuple = SETTINGS, rounds: int = ROUNDS, seed: int = 0) -> list:
    """Return the median time of a training step on X (B, D) with each setting, relative to the first setting.

    A setting is (estimator, K, baseline).  Every round times all settings, so that other work of the machine slows all
    of them alike.  The seed is that of the noise; the VAE stays as it is.
    """
    gradient, rng = Parameters.zeros(vae.parameters.layout, vae.dtype), np.random.default_rng(check_seed(seed))
    workspaces = {}
    for _, n_samples, _ in settings:
        if n_samples not in workspaces:
            workspaces[n_samples] = ws = Workspace.allocate(vae.encoder, vae.decoder, len(X), n_samples, vae.dtype)
            ws.x[:], ws.eps[:] = X, rng.standard_normal(ws.eps.shape)
    times = np.empty((rounds + 1, len(settings)))                   # the first round compiles or loads the kernels
    for row in times:
        for k, (name, n_samples, baseline) in enumerate(settings):
            steps, estimator = max(1, TIMED_SAMPLES // n_samples), _estimator(name, baseline)
            start = time.perf_counter()
            for _ in range(steps):
                estimator.forward_backward(vae, vae.parameters, workspaces[n_samples], Constant(1.0), gradient)
            row[k] = (time.perf_counter() - start) / steps
    return np.median(times[1:] / times[1:, :1], axis=0).tolist()


def measure_estimators(draws: int = 65536, epochs: int = 20, *, seed: int = 0) -> list:
    """Measure every estimator in every scene; return a list of Measurement.  It takes seconds.

    Raises ConfigurationError for settings that cannot work.

    Parameters
    ----------
    draws : int
        Draws of eps for each example, a multiple of 64; an estimator with K samples makes draws / K gradients of them.
    epochs : int
        Epochs of training of the digits' VAE.
    seed : int
        Seed of everything random.

    Examples
    --------
    >>> rows = measure_estimators(draws=640, epochs=1)
    >>> sorted({row.scene for row in rows})
    ['digits', 'oracle', 'posterior']
    """
    if positive_integer("draws", draws) % MOST_SAMPLES or draws == MOST_SAMPLES:
        raise ConfigurationError(f"draws is {draws}; it must be a multiple of {MOST_SAMPLES}, from {2 * MOST_SAMPLES}: "
                                 f"the largest K is {MOST_SAMPLES}, and one gradient has no variance. Take 65536.")
    if draws > MOST_DRAWS:
        raise ConfigurationError(f"draws is {draws}; at most {MOST_DRAWS} are held in memory. Take 65536.")
    digits = digits_scene(positive_integer("epochs", epochs), check_seed(seed))
    times = dict(zip(SETTINGS, step_times(digits.vae, digits.X, seed=seed)))
    scenes = (oracle_scene("oracle", POSTERIOR_OFFSET, seed=seed), oracle_scene("posterior", 0.0, seed=seed),
              digits._replace(X=digits.X[:DIGITS]))
    rows = []
    for scene in scenes:
        examples = list(_examples(scene, draws, seed))
        for setting in SETTINGS:
            against, bias_z, variance, ratio = _measure(scene, setting, examples)
            rows.append(Measurement(scene.name, *setting, against, bias_z, bias_z > BIASED, variance, ratio,
                                    times[setting]))
    return rows
