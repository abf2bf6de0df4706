"""Hints about the encoder's head [mu | logvar]: its gradient is split into reconstruction and KL.

The model gets one example at a time.  The slope of the loss along the head's bias is then the cotangent of the head
itself.  Differences of the two parts of the objective give what each part of it should be, such as the
reconstruction's J eps sigma / 2 (J = d(nll)/dz) and the KL's beta (sigma^2 - 1) / 2.  The model's gradient is fitted by
one term of each kind, right or wrong; the terms that fit name the mistake.
"""
from typing import NamedTuple

import numpy as np

from ..comparison import failed
from ..numerical import numerical_gradient

FIT = 1e-6                              # terms fit if the residual is at most this times the largest entry
POINTS = 36                             # fewest numbers to fit: enough to tell 120 pairs of terms apart
BIAS = "encoder.head.b"


class Head(NamedTuple):
    """The head's cotangent at m points, and what it is made of; each dict has "d_mu" and "d_logvar", (m,) each.

    `found` is the model's; `reconstruction` and `kl` are numeric, and their sum is what it should be.
    """

    found: dict
    reconstruction: dict
    kl: dict
    eps: np.ndarray
    mu: np.ndarray
    logvar: np.ndarray

    def right(self, name: str) -> np.ndarray:
        """Return what the cotangent should be, (m,)."""
        return self.reconstruction[name] + self.kl[name]


def _gather(model, X, eps):
    """Return the Head at examples and noise drawn from X and at random."""
    rng, n_latent = np.random.default_rng(0), eps.shape[1]
    halves = {"d_mu": slice(0, n_latent), "d_logvar": slice(n_latent, None)}
    bias, rows = model.parameters[BIAS], []
    for n in range(max(len(X), -(-POINTS // n_latent))):
        x = np.repeat(X[n % len(X)][None], len(X), axis=0)        # B copies, so that 1/B is that of X
        noise = np.repeat(rng.standard_normal((1, n_latent)), len(X), axis=0)
        slopes = [numerical_gradient(f, bias, max_entries=bias.size).values for f in (
            lambda: model.objective(x, noise).reconstruction, lambda: model.objective(x, noise).loss)]
        posterior = model.encode(x)                               # not of one row: its code may have fixed buffers
        rows.append((np.array(model.gradient(x, noise)[1][BIAS]), *slopes, noise[0], posterior[0][0], posterior[1][0]))
    found, reconstruction, loss, noise, mu, logvar = (np.array(column) for column in zip(*rows))

    def split(table):
        return {name: table[:, half].ravel() for name, half in halves.items()}

    return Head(split(found), split(reconstruction), split(loss - reconstruction), noise.ravel(), mu.ravel(),
                logvar.ravel())


def _like(found, wanted, scale):
    return bool(np.all(np.abs(found - wanted) <= FIT * scale))


def _terms(head, name):
    """Return ({name: term of the reconstruction}, {name: term of the KL}), the right one first."""
    J, eps, sigma = head.reconstruction["d_mu"], head.eps, np.exp(head.logvar / 2)
    z, one = head.mu + sigma * eps, np.ones(len(J))
    if name == "d_mu":
        reconstruction = {"": J, "J sigma": J * sigma, "J eps": J * eps, "J eps sigma": J * eps * sigma,
                          "J eps sigma / 2 (d_logvar's)": head.reconstruction["d_logvar"]}
        kl = {"": head.kl["d_mu"], "z": z, "z - eps / sigma": z - eps / sigma, "mu sigma": head.mu * sigma,
              "mu / sigma^2": head.mu / sigma**2, "(sigma^2 - 1)": sigma**2 - 1, "eps": eps, "1": one}
    else:
        reconstruction = {"": head.reconstruction["d_logvar"], "J": J, "J eps": J * eps, "J sigma": J * sigma,
                          "J eps sigma^2": J * eps * sigma**2, "J sigma^2": J * sigma**2,
                          "J eps / sigma": J * eps / sigma, "J eps^2 sigma": J * eps**2 * sigma}
        kl = {"": head.kl["d_logvar"], "sigma^2": sigma**2, "1": one, "(sigma - 1)": sigma - 1,
              "(sigma^2 - 1) sigma": (sigma**2 - 1) * sigma, "(sigma^2 - sigma)": sigma**2 - sigma,
              "(sigma - 1 / sigma)": sigma - 1 / sigma, "(sigma^4 - 1)": sigma**4 - 1,
              "(1 - 1 / sigma^2)": 1 - sigma**-2,
              "(z eps sigma - 1)": z * eps * sigma - 1, "(z eps sigma - eps^2)": z * eps * sigma - eps**2,
              "(eps^2 - 1)": eps**2 - 1, "logvar": head.logvar, "mu": head.mu, "mu^2": head.mu**2}
    return reconstruction, kl


RIGHT = {"d_mu": ("J", "beta mu"), "d_logvar": ("1/2 J eps sigma", "1/2 beta (sigma^2 - 1)")}
WHY = {("d_logvar", "J eps"): "the sigma of dz/dlogvar = eps sigma / 2 is missing",
       ("d_logvar", "J sigma"): "the eps of dz/dlogvar = eps sigma / 2 is missing",
       ("d_logvar", "J"): "dz/dlogvar = eps sigma / 2 is missing",
       ("d_logvar", "J eps sigma^2"): "sigma^2 stands for sigma: a sigma too many",
       ("d_logvar", "sigma^2"): "the -1 of sigma^2 - 1 is missing: the slope of -logvar",
       ("d_logvar", "1"): "sigma^2 is missing: the slope of sigma^2",
       ("d_logvar", "(sigma - 1)"): "sigma stands for sigma^2",
       ("d_logvar", "(sigma^2 - 1) sigma"): "a sigma too many",
       ("d_logvar", "(z eps sigma - 1)"): "the total derivative of the Monte Carlo KL",
       ("d_logvar", "(z eps sigma - eps^2)"): "the path derivative of the Monte Carlo KL",
       ("d_mu", "z"): "z stands for mu: the derivative of the Monte Carlo KL",
       ("d_mu", "z - eps / sigma"): "the path derivative of the Monte Carlo KL"}


def _explain(part, name, coefficient, sizes):
    """Return what the coefficient of a right term means, or "" if it is 1."""
    c = 0.0 if abs(coefficient) < 1e-4 else float(coefficient)
    if abs(c - 1) < 1e-4:
        return ""
    known = [(0.0, "it never arrives" if part == "reconstruction" else "is the KL differentiated at all?"),
             (2.0, "is the 1/2 of E7 missing?" if name == "d_logvar" else "is a term added twice?"),
             (0.5, "a 1/2 too many"), (-1.0, "a sign is flipped")]
    for letter, size in sizes.items():
        if abs(size - 1) > 1e-4 and size > 0:
            known += [(float(size), f"a factor {letter} too many"), (1 / size, f"a factor {letter} is missing")]
    why = "; or ".join(text for value, text in known if abs(c - value) < 1e-4)
    size = f"{c:.3g}" if 0 < abs(c) < 0.005 else f"{c:.2f}"
    return f"the {part} part of {name} is {size} x what it should be" + (f": {why}" if why else "")


def _fit(found, first, second):
    """Return the coefficients of two terms, and the largest residual; a term of zeros has the coefficient 1."""
    basis = np.stack([first, second], axis=1)
    absent = np.all(np.abs(basis) <= 1e-12, axis=0)
    basis[:, absent] = 0
    solved = np.linalg.lstsq(basis, found, rcond=None)[0]
    return tuple(np.where(absent, 1.0, solved).tolist()), float(np.max(np.abs(basis @ solved - found)))


def _fit_part(head, name, sizes):
    """Return a hint why head.found[name] is not what it should be."""
    found, scale = head.found[name], np.max(np.abs(head.found[name]))
    reconstruction, kl = _terms(head, name)
    pairs = sorted(((r, k) for r in reconstruction for k in kl), key=lambda pair: sum(map(bool, pair)))
    for r, k in pairs:
        (c, b), residual = _fit(found, reconstruction[r], kl[k])
        if residual > FIT * scale:
            continue
        hints = []
        for part, term, coefficient, right in (("reconstruction", r, c, RIGHT[name][0]), ("KL", k, b, RIGHT[name][1])):
            if not term:
                hints.append(_explain(part, name, coefficient, sizes))
            elif abs(coefficient) > 1e-9:
                why = WHY.get((name, term), "")
                hints.append(f"the {part} part of {name} is {coefficient:.3g} {term}, and should be {right}"
                             + (f": {why}" if why else ""))
        return "; ".join(filter(None, hints))
    return _fit_basis(head, name, scale)


def _fit_basis(head, name, scale):
    """Return the sum of several terms that fits, written out, or a general hint if none fits."""
    J, eps, sigma = head.reconstruction["d_mu"], head.eps, np.exp(head.logvar / 2)
    z = head.mu + sigma * eps
    basis = {"J eps sigma": J * eps * sigma, "J": J, "(sigma^2 - 1)": sigma**2 - 1, "mu": head.mu,
             "z eps sigma": z * eps * sigma, "eps / sigma": eps / sigma, "eps^2": eps**2, "1": np.ones(len(J))}
    solved = np.linalg.lstsq(np.stack(list(basis.values()), axis=1), head.found[name], rcond=None)[0]
    fitted = sum(c * term for c, term in zip(solved, basis.values()))
    if _like(fitted, head.found[name], scale):
        written = " + ".join(f"{c:.3g} {term}" for c, term in zip(solved, basis) if abs(c) > 1e-5)
        return f"{name} is {written}, and should be {' + '.join(RIGHT[name])}"
    return f"{name} is no sum of the usual terms: was z made with other noise, or other weights used on the way back?"


def check_head(model: object, X: np.ndarray, eps: np.ndarray) -> list:
    """Return the failed Checks of the parts "d_mu" and "d_logvar" of the encoder's head.

    The model has `encode` and the segment "encoder.head.b"; its objective is reconstruction + beta KL, with one sample
    of each row of X (B, D).  Of eps (B, Z) only the shape is used; noise is drawn here.
    """
    head = _gather(model, X, eps)
    sizes = {"B": len(X), "beta": getattr(model, "beta", 1.0)}
    scale = max(np.max(np.abs(head.right(name))) for name in head.found)
    wrong = [name for name in head.found if not _like(head.found[name], head.right(name), scale)]
    swapped = len(wrong) == 2 and all(_like(head.found[a], head.right(b), scale) for a, b in (wrong, wrong[::-1]))
    flat = {name: np.abs(head.right(name)) <= FIT * scale for name in wrong}
    checks = []
    for name in wrong:
        if swapped:
            hint = "d_mu and d_logvar stand in each other's place"
        elif flat[name].all():
            hint = f"{name} should be 0: the forward clamps there, and the backward does not know"
        elif flat[name].any() and _like(head.found[name][~flat[name]], head.right(name)[~flat[name]], scale):
            hint = (f"{name} is right except where it should be 0: the forward clamps there, and the backward does "
                    "not know")
        else:
            hint = _fit_part(head, name, sizes)
        checks.append(failed(name, head.found[name], head.right(name), hint)._replace(index=()))
    return checks
