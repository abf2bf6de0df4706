"""The draw: with the trick, and without it."""
import numpy as np

from ..exercise import exercise


def draws(rng):
    """Return mu, logvar (B, Z), eps (B, K, Z) and f (B, K), the loss of each sample in nats."""
    B, K, Z, *_ = rng.sizes()
    return {"mu": rng.standard_normal((B, Z)), "logvar": rng.standard_normal((B, Z)),
            "eps": rng.standard_normal((B, K, Z)), "f": rng.standard_normal((B, K))}


def has_the_variance_exp_logvar(answer, rng):
    """The spread of z over eps = -1 and 1 is sigma."""
    drawn = draws(rng)
    eps = np.ones((len(drawn["mu"]), 2, drawn["mu"].shape[1])) * np.array([-1.0, 1.0])[:, None]
    found = answer(drawn["mu"], drawn["logvar"], eps).var(axis=1)
    return "" if np.allclose(found, np.exp(drawn["logvar"])) else (
        f"the variance of z is {found[0, 0] / np.exp(drawn['logvar'][0, 0]):.3g} x exp(logvar)")


FAR = {"mu": np.array([[1.0, -2.0]]), "logvar": np.array([[20.0, -20.0]]), "f": np.array([[1.0, -2.0]]),
       "eps": np.array([[[1.0, 1.0], [-0.5, 2.0]]])}


@exercise("E2", draws, corners=(FAR,), laws=(has_the_variance_exp_logvar,), hints=(
    "The chance comes in from outside: eps is N(0, 1), and z is made of it.",
    "z = mu + sigma eps, and sigma = exp(logvar / 2), because logvar = log sigma^2.",
    "mu[:, None] has shape (B, 1, Z), which NumPy repeats for each of the K samples."), slips=(
    ("np.exp(logvar / 2)", "np.exp(logvar)", "sigma is exp(logvar / 2): logvar is the log of sigma squared. No "
     "gradient check finds this mistake, because the gradient of the wrong formula is right"),
    ("np.exp(logvar / 2)", "logvar", "logvar is log sigma^2, not sigma"),
    ("mu[:, None] + ", "", "mu is missing"),
    (" * eps", "", "eps is missing: nothing is random here")))
def sample(mu, logvar, eps):
    """Draw from q(z | x) = N(mu, sigma^2): the reparameterization trick.

    mu, logvar (B, Z)   of q(z | x), logvar = log sigma^2
    eps (B, K, Z)       noise from N(0, 1), K samples an example

    Return z = mu + sigma eps, (B, K, Z).                                         (E2, F10)
    """
    return mu[:, None] + np.exp(logvar / 2)[:, None] * eps


def surrogate(moved, held):
    """Return the mean of f log q(z | x), where only the density moves: z is held."""
    z = held["mu"][:, None] + np.exp(held["logvar"] / 2)[:, None] * held["eps"]
    mu, logvar = moved["mu"][:, None], moved["logvar"][:, None]
    return float(np.mean(held["f"] * -0.5 * ((z - mu)**2 * np.exp(-logvar) + logvar).sum(axis=2)))


@exercise("S9", draws, surrogate=surrogate, by=("mu", "logvar"), corners=(FAR,), hints=(
    "z is held; only the density that it was drawn from moves. d E[f] = E[f d log q].",
    "log q = -1/2 ((z - mu)^2 / sigma^2 + logvar): its slope is eps / sigma along mu, (eps^2 - 1) / 2 along logvar.",
    "With f[:, :, None] the losses stand beside eps; sum over axis 1 and divide by B K."), slips=(
    (" / sigma", "", "the sigma of eps / sigma is missing"),
    (" / sigma", " * sigma", "eps / sigma, not eps sigma: the wider q is, the flatter is log q"),
    ("(eps ** 2 - 1) / 2", "eps ** 2 / 2", "the -1 of eps^2 - 1 is missing: logvar itself stands in log q, too"),
    ("(eps ** 2 - 1) / 2", "eps ** 2 - 1", "d_logvar is 2.00 x the right one: is the 1/2 missing?"),
    ("f.size", "len(f)", "K x: the mean over the K samples is missing")))
def score_function(f, eps, logvar):
    """The gradient without the trick: unbiased, and very noisy.

    f (B, K)         the loss of each sample, in nats
    eps (B, K, Z)    the noise that made z
    logvar (B, Z)    log sigma^2 of q(z | x)

    Return (d_mu, d_logvar), (B, Z) each: the mean over the K samples, times 1/B, of
    f eps / sigma and of f (eps^2 - 1) / 2.                                       (S9, F12)
    """
    sigma = np.exp(logvar / 2)[:, None]
    weight = f[:, :, None] / f.size
    return (weight * eps / sigma).sum(axis=1), (weight * (eps**2 - 1) / 2).sum(axis=1)


def does_not_look_at_its_own_sample(answer, rng):
    """S9: a baseline may be any number that does not depend on this sample's eps."""
    f = draws(rng)["f"]
    moved = f.copy()
    moved[:, 0] += 1
    return "" if np.allclose(answer(f)[:, 0], answer(moved)[:, 0]) else (
        "the baseline of a sample changes with its own loss, so the gradient is biased")


@exercise("S9", draws, laws=(does_not_look_at_its_own_sample,), hints=(
    "A baseline must not depend on the sample whose loss it is subtracted from.",
    "Sum over all K samples of an example, and take the sample's own loss away.",
    "What is left is the sum of K - 1 losses: divide by K - 1. keepdims=True keeps the shape (B, 1) of the sum."),
    slips=(("f.shape[1] - 1", "f.shape[1]", "(K - 1)/K x: K - 1 losses are left, not K"),
           (" - f)", ")", "the sample's own loss is in its baseline: then the gradient is biased"),
           ("axis=1", "axis=0", "the other samples of the same example: sum over axis 1")))
def leave_one_out(f):
    """A baseline for the score function: the mean loss of an example's other samples.

    f (B, K)   the loss of each sample, in nats

    Return b, (B, K); b[n, k] is the mean of f[n, l] over the K - 1 others, l != k.   (S9)
    """
    return (f.sum(axis=1, keepdims=True) - f) / (f.shape[1] - 1)
