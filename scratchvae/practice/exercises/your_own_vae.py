"""A VAE of your own, made of the functions that you have written."""
import inspect
import math
from copy import deepcopy

import numpy as np

from ...data.loading import load_data
from ..exercise import exercise
from .c01_kl_divergence import kl_normal
from .c02_autoencoder import d_b, d_W, d_x, tanh_slope
from .c03_reparameterization import sample
from .c04_backprop_by_hand import bernoulli_nll, d_l, d_logvar, d_mu, d_z
from .c05_vae import adam

ALONE, LEARNED = 24.8, 22.5              # nats a held-out digit: of each pixel's mean alone; of a model that learns


def model(rng):
    """Return parameters p, x (B, D) of 0 and 1, eps (B, K, Z), and the rest of a step's arguments."""
    B, K, Z, H, D = (n - 1 for n in rng.sizes())
    shapes = {"U": (D, H), "a": (H,), "W": (H, 2 * Z), "c": (2 * Z,), "R": (Z, H), "r": (H,), "S": (H, D), "s": (D,)}
    p = {name: 0.7 * rng.standard_normal(shape) for name, shape in shapes.items()}
    return {"p": p, "x": (rng.random((B, D)) < 0.5) * 1.0, "eps": rng.standard_normal((B, K, Z)),
            "beta": float(rng.uniform(0.5, 3)), "m": {name: 0.1 * w for name, w in p.items()},
            "v": {name: w**2 for name, w in p.items()}, "step": int(rng.integers(1, 9)), "rate": 0.01}


@exercise("E1", model, hints=(
    "Three dense layers and a draw: x to h, h to the head, the head to z, z to g, g to l.",
    "head = h W + c; its first Z columns are mu and the others logvar: np.split(head, 2, axis=1).",
    "h = tanh(x U + a); z = sample(mu, logvar, eps); g = tanh(z R + r); l = g S + s; return the dict."), slips=(
    ("mu, logvar = np.split", "logvar, mu = np.split", "the head is [mu | logvar], in this order"),))
def forward(p, x, eps):
    """From the data to the logits: encoder, draw, decoder.

    p               {"U", "a", "W", "c", "R", "r", "S", "s"}: weights and biases of
                    h = tanh(x U + a), [mu | logvar] = h W + c, g = tanh(z R + r), l = g S + s
    x (B, D)        pixels
    eps (B, K, Z)   noise

    Return {"h": (B, H), "mu": (B, Z), "logvar": (B, Z), "z": (B, K, Z), "g": (B, K, H), "l": (B, K, D)}.
    (E1, E2, E3)
    """
    h = np.tanh(x @ p["U"] + p["a"])
    mu, logvar = np.split(h @ p["W"] + p["c"], 2, axis=1)
    z = sample(mu, logvar, eps)
    g = np.tanh(z @ p["R"] + p["r"])
    return {"h": h, "mu": mu, "logvar": logvar, "z": z, "g": g, "l": g @ p["S"] + p["s"]}


def loss(x, eps, beta, **p):
    """Return E4 in one piece."""
    mu, logvar = np.split(np.tanh(x @ p["U"] + p["a"]) @ p["W"] + p["c"], 2, axis=1)
    z = mu[:, None] + np.exp(logvar / 2)[:, None] * eps
    l = np.tanh(z @ p["R"] + p["r"]) @ p["S"] + p["s"]
    nll = np.sum(np.log(1 + np.exp(l)) - x[:, None] * l) / (len(x) * eps.shape[1])
    return nll + beta * np.sum(mu**2 + np.exp(logvar) - 1 - logvar) / (2 * len(x))


@exercise("E4", lambda rng: {name: value for name, value in model(rng).items() if name in ("p", "x", "eps", "beta")},
          loss=loss, by=lambda answer, x, eps, beta, **p: answer(p, x, eps, beta)[1], hints=(
    "Start with d_l, then d_z; then d_mu and d_logvar, side by side, are the cotangent of the head.",
    "Each layer has d_W, d_b and d_x of its cotangent. The decoder's rows are (B K, ...): reshape(-1, width) first.",
    "d_g = d_l S^T, times tanh_slope(g); d_head = np.hstack([d_mu(...), d_logvar(...)]); d_h = d_x(d_head, W), times "
    "tanh_slope(h)."), slips=(
    (" * tanh_slope(t['h'])", "", "the slope of the encoder's tanh is missing (D2)"),
    (" * tanh_slope(g)", "", "the slope of the decoder's tanh is missing (D2)"),
    ("beta * kl_normal", "kl_normal", "the loss lacks beta"),
    ("[d_mu(d_zs, t['mu'], beta), d_logvar(d_zs, eps, t['logvar'], beta)]",
     "[d_logvar(d_zs, eps, t['logvar'], beta), d_mu(d_zs, t['mu'], beta)]",
     "the head is [mu | logvar], in this order")))
def gradient(p, x, eps, beta):
    """The loss and its gradient: every step of the derivation, once.

    p, x, eps   as in `forward`
    beta        weight of the KL

    Return (loss, d_p): loss = 1/B sum_n [1/K sum_k nll + beta kl], a number, and d_p, a dict like p.
    Use the functions that you have written before.                               (E4 to E7, D2 to D5)
    """
    t = forward(p, x, eps)
    value = np.mean(bernoulli_nll(t["l"], x)) + np.mean(beta * kl_normal(t["mu"], t["logvar"]))
    d_logits = d_l(t["l"], x)
    d_zs = d_z(d_logits, t["g"], p["R"], p["S"])
    g, z, d_rows = (rows.reshape(-1, rows.shape[2]) for rows in (t["g"], t["z"], d_logits))
    d_g = d_x(d_rows, p["S"]) * tanh_slope(g)
    d_head = np.hstack([d_mu(d_zs, t["mu"], beta), d_logvar(d_zs, eps, t["logvar"], beta)])
    d_h = d_x(d_head, p["W"]) * tanh_slope(t["h"])
    return value, {"U": d_W(x, d_h), "a": d_b(d_h), "W": d_W(t["h"], d_head), "c": d_b(d_head),
                   "R": d_W(z, d_g), "r": d_b(d_g), "S": d_W(g, d_rows), "s": d_b(d_rows)}


@exercise("O2", model, hints=(
    "Gradient first; then Adam on every array of p, with its own m and v.",
    "Loop over the names of p: adam(p[name], d_p[name], m[name], v[name], step, rate) returns the three new arrays.",
    "Make three new dicts in the loop and return (loss, new_p, new_m, new_v)."))
def train_step(p, m, v, step, x, eps, beta, rate):
    """One training step: the gradient, and Adam on each array.

    p, x, eps, beta   as in `gradient`
    m, v              dicts like p: Adam's running means
    step, rate        as in `adam`

    Return (loss, p, m, v): the loss before the step, and new dicts; leave the arguments as they are.
    (E4 to E7, O2)
    """
    value, d_p = gradient(p, x, eps, beta)
    new = {name: adam(p[name], d_p[name], m[name], v[name], step, rate) for name in p}
    return value, *({name: arrays[k] for name, arrays in new.items()} for k in range(3))


def recorded(answer, *arguments, stand_in=None):
    """Call train while a recorder stands in the place of train_step: (p, steps' arguments, what steps returned).

    The recorder does what the student's train_step does, or `stand_in`.
    """
    names, calls, left = inspect.unwrap(answer).__globals__, [], []
    own = names["train_step"]

    def recorder(p, m, v, step, x, eps, beta, rate):
        calls.append(deepcopy((p, m, v, step, x, eps, beta)))
        left.append((stand_in or own)(p, m, v, step, x, eps, beta, rate))
        return deepcopy(left[-1])                                                # a loop may write into its dicts

    names["train_step"] = recorder
    try:
        return answer(*arguments), calls, left
    finally:
        names["train_step"] = own


def same(p, other):
    """Return whether two dicts hold the same arrays."""
    return set(p) == set(other) and all(np.array_equal(p[name], other[name]) for name in p)


def hands_each_step_what_the_last_one_left(answer, rng):
    """A recorder stands in the place of train_step: are steps, rows, noise, p, m and v as they should be?"""
    X = (np.arange(40)[:, None] >> np.arange(6) & 1) * 1.0                       # no two rows are equal
    (last, calls, left), (other, others, _) = recorded(answer, X, 5, 2, 3, 7), recorded(answer, X, 5, 2, 1, 8)
    again, *_ = recorded(answer, X, 5, 2, 3, 7)
    first, other = calls[0][0] if calls else last, others[0][0] if others else other
    rows, other_rows = (np.concatenate([call[4] for call in made]) @ 2.0**np.arange(6) if made else np.zeros(0)
                        for made in (calls, others))
    epochs = [rows[k * len(X):(k + 1) * len(X)] for k in range(3)]
    for holds, fault in (
            (len(rows) == 3 * len(X), f"3 epochs of 40 rows call train_step with {len(rows)} rows, not 120"),
            (all(np.array_equal(np.sort(epoch), np.arange(40)) for epoch in epochs), "an epoch must see each row once"),
            (len({tuple(epoch) for epoch in [*epochs, np.arange(40.0)]}) == 4, "every epoch needs an order of its own"),
            ([call[3] for call in calls] == list(range(1, len(calls) + 1)), "step must count from 1, over all epochs"),
            (all(call[6] == 1 for call in calls), "beta must be 1"),
            (all(np.shape(call[5])[::2] == (len(call[4]), 2) for call in calls), "eps must be (batch, K, n_latent)"),
            (len({float(np.ravel(call[5])[0]) for call in calls}) == len(calls), "every step needs noise of its own"),
            (all(same(call[k], before[k + 1]) for call, before in zip(calls[1:], left) for k in range(3)),
             "the p, m and v that a step returns are those of the next step"),
            (bool(left) and same(last, left[-1][1]), "the p that is returned must be the last step's"),
            (not any(np.any(mean) for call in calls[:1] for means in call[1:3] for mean in means.values()),
             "m and v start at 0"),
            (not np.array_equal(first["U"], other["U"]), "another seed must give other weights"),
            (not np.array_equal(epochs[0], other_rows), "another seed must give another order"),
            (not any(np.array_equal(call[5], twin[5]) for call, twin in zip(calls, others)),
             "another seed must give other noise"),
            (same(last, again), "the same seed must give the same p"),
            (not any(np.any(first[name]) for name in "acrs"), "biases start at 0")):
        if not holds:
            return fault
    return ""


def draws_standard_normal_noise(answer, rng):
    """No two rows or latents share their noise, and its distribution function is the normal one.

    By the Dvoretzky-Kiefer-Wolfowitz inequality N right numbers differ from it anywhere by more than t with a
    probability of at most 2 exp(-2 N t^2): 1e-8 here.
    """
    Z = 40
    _, calls, _ = recorded(answer, (rng.random((1000, 3)) < 0.5) * 1.0, 2, Z, 2, int(rng.integers(1000)),
                           stand_in=lambda p, m, v, *_: (0.0, p, m, v))
    eps = np.concatenate([call[5].reshape(-1, Z) for call in calls])
    if any(np.unique(eps, axis=axis).shape != eps.shape for axis in (0, 1)):
        return "examples or latents share their noise: every entry of eps is a draw of its own"
    normal = [0.5 + 0.5 * math.erf(value / math.sqrt(2)) for value in np.sort(eps, axis=None).tolist()]
    far = np.abs(normal - np.arange(eps.size) / eps.size).max() > np.sqrt(np.log(2e8) / (2 * eps.size))
    mean, square, fourth = (float(np.mean(eps**power)) for power in (1, 2, 4))
    return "" if not far else (f"eps has the mean {mean:.2f}, the mean square {square:.2f} and the mean fourth power "
                               f"{fourth:.2f}; standard normal numbers have 0, 1 and 3")


def learns_digits(answer, rng):
    """Train on the bundled 8 x 8 digits, and measure the held-out ones with the model answers."""
    data = load_data("digits")
    X, held_out = ((images > 0.5) * 1.0 for images in (data.train, data.test))
    p = answer(X, 32, 4, 12, int(rng.integers(1000)))
    t = forward(p, held_out, rng.standard_normal((len(held_out), 1, 4)))
    value = float(np.mean(bernoulli_nll(t["l"], held_out)) + np.mean(kl_normal(t["mu"], t["logvar"])))
    return "" if value < LEARNED else (
        f"the held-out loss is {value:.1f} nats a digit after 12 epochs; it must be less than {LEARNED:g} (the mean of "
        f"each pixel gives {ALONE}): is the rate 5e-3, has a batch 32 rows, have the first weights a standard "
        "deviation of sqrt(1 / n_in)?")


@exercise("E4", lambda rng: {"X": (rng.random((40, 6)) < 0.5) * 1.0, "n_hidden": 5, "n_latent": 2, "epochs": 1,
                             "seed": int(rng.integers(1000))}, free=True,
          laws=(hands_each_step_what_the_last_one_left, draws_standard_normal_noise, learns_digits), hints=(
    "Draw weights of standard deviation sqrt(1 / n_in), biases 0; m and v start at 0, and step at 0.",
    "In each epoch shuffle the rows, cut them into batches of 32, draw eps of shape (batch, 1, n_latent), and step.",
    "for epoch in range(epochs): order = rng.permutation(len(X)); for first in range(0, len(X), 32): x = "
    "X[order[first:first + 32]]; step += 1; ... train_step(..., 1.0, 5e-3)."))
def train(X, n_hidden, n_latent, epochs, seed):
    """Your VAE learns digits: the whole training loop.

    X (n, D)             pixels, 0 or 1
    n_hidden, n_latent   H and Z
    epochs, seed         how often each row is seen; of weights, order and noise

    Biases, m and v start at 0, beta is 1, and each row is seen once an epoch, in a new order, by train_step.
    A batch of 32 and a rate of 5e-3 learn fast enough; a loop may be 50 times as slow as the model answer's.
    Return p, a dict as in `forward`.  After 12 epochs on the bundled 8 x 8 digits, with 32 hidden units and
    4 latents, the held-out loss (E4) must be less than 22.5 nats; the mean of each pixel alone gives 24.8.
    """
    rng, D = np.random.default_rng(seed), X.shape[1]
    shapes = {"U": (D, n_hidden), "a": (n_hidden,), "W": (n_hidden, 2 * n_latent), "c": (2 * n_latent,),
              "R": (n_latent, n_hidden), "r": (n_hidden,), "S": (n_hidden, D), "s": (D,)}
    p = {name: rng.standard_normal(shape) / np.sqrt(shape[0]) * (len(shape) == 2) for name, shape in shapes.items()}
    m, v = ({name: np.zeros(shape) for name, shape in shapes.items()} for _ in range(2))
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(X))
        for first in range(0, len(X), 32):
            x = X[order[first:first + 32]]
            step += 1
            _, p, m, v = train_step(p, m, v, step, x, rng.standard_normal((len(x), 1, n_latent)), 1.0, 5e-3)
    return p
