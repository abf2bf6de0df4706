"""One small VAE, x -> tanh -> (mu, logvar) -> z -> logits, written in the ways that other people write it.

Every style takes `fault`, one of FAULTS, or "" for the right gradient.
"""
import numpy as np

D, H, Z, B = 5, 4, 2, 3
SHAPES = {"We": (D, H), "be": (H,), "Wm": (H, Z), "bm": (Z,), "Wl": (H, Z), "bl": (Z,), "Wd": (Z, D), "bd": (D,)}
FAULTS = ("sampler sigma^2", "sampler sigma / 2", "KL times sigma", "trunk from the decoder only", "missing 1/2",
          "missing path", "last row", "sign of one array")


def initial(seed=0):
    """Return {name: array}, random biases included."""
    rng = np.random.default_rng(seed)
    return {name: 0.5 * rng.standard_normal(shape) for name, shape in SHAPES.items()}


def data(seed=1):
    """Return (x, eps)."""
    rng = np.random.default_rng(seed)
    return rng.random((B, D)), rng.standard_normal((B, Z))


def encode(p, x):
    """Return (mu, logvar)."""
    h = np.tanh(x @ p["We"] + p["be"])
    return h @ p["Wm"] + p["bm"], h @ p["Wl"] + p["bl"]


def forward(p, x, eps):
    """Return (loss per example, what backward needs)."""
    h = np.tanh(x @ p["We"] + p["be"])
    mu, logvar = encode(p, x)
    sigma = np.exp(logvar / 2)
    z = mu + sigma * eps
    logits = z @ p["Wd"] + p["bd"]
    nll = np.sum(np.logaddexp(0, logits) - x * logits)
    kl = 0.5 * np.sum(mu**2 + sigma**2 - logvar - 1)
    return (nll + kl) / len(x), (h, mu, logvar, sigma, z, logits)


def backward(p, x, eps, cache, fault=""):
    """Return {name: gradient}."""
    h, mu, logvar, sigma, z, logits = cache
    d_logits = (1 / (1 + np.exp(-logits)) - x) / len(x)
    d_z = d_logits @ p["Wd"].T
    d_mu = d_z + mu / len(x)
    path = {"sampler sigma^2": sigma**2 / 2, "sampler sigma / 2": sigma / 4, "missing 1/2": sigma}.get(fault, sigma / 2)
    d_kl = (sigma**2 - 1) / 2 / len(x) * (sigma if fault == "KL times sigma" else 1)
    d_logvar = (0 if fault == "missing path" else d_z * eps * path) + d_kl
    d_a = (d_mu @ p["Wm"].T + d_logvar @ p["Wl"].T) * (1 - h**2)
    if fault == "trunk from the decoder only":
        d_a = (d_z @ p["Wm"].T) * (1 - h**2)
    found = {"We": x.T @ d_a, "be": d_a.sum(0), "Wm": h.T @ d_mu, "bm": d_mu.sum(0), "Wl": h.T @ d_logvar,
             "bl": d_logvar.sum(0), "Wd": z.T @ d_logits, "bd": d_logits.sum(0)}
    if fault == "last row":
        found["We"][-1] = 0
    if fault == "sign of one array":
        found["Wd"] *= -1
    return found


class Caches:
    """Arrays as attributes, a forward that caches, a backward that puts dW beside W and reads the caches."""

    def __init__(self, fault=""):
        self.fault = fault
        for name, array in initial().items():
            setattr(self, name, array)

    def weights(self):
        """Return {name: array}."""
        return {name: getattr(self, name) for name in SHAPES}

    def forward(self, x, eps):
        """Return the loss."""
        self.x, self.eps = x, eps
        if self.fault != "stale weights" or not hasattr(self, "old"):
            self.old = {name: array.copy() for name, array in self.weights().items()}
        loss, self.cache = forward(self.weights(), x, eps)
        return loss

    def backward(self):
        """Return {"dWe": ...}."""
        p = self.old if self.fault == "stale weights" else self.weights()
        self.grads = {f"d{k}": v for k, v in backward(p, self.x, self.eps, self.cache, self.fault).items()}
        return self.grads


class Columns:
    """Examples are columns, weights (out, in); biases are columns, too."""

    def __init__(self, fault=""):
        self.fault, self.p = fault, {k: np.atleast_2d(v.T).T.copy() if v.ndim == 1 else v.T.copy(order="F")
                                     for k, v in initial().items()}

    def rows(self):
        """Return {name: array} as rows have it."""
        return {k: v[:, 0] if k[0] == "b" else v.T for k, v in self.p.items()}

    def cost(self, x, eps):
        """Return the loss, of shape (1, 1)."""
        return np.array([[forward(self.rows(), x.T, eps.T)[0]]])

    def grads(self, x, eps):
        """Return {name: gradient}, columns."""
        p = self.rows()
        found = backward(p, x.T, eps.T, forward(p, x.T, eps.T)[1], self.fault)
        return {k: v[:, None] if k[0] == "b" else v.T for k, v in found.items()}


class Trainer:
    """A training step that replaces its arrays, and no gradient to be had."""

    def __init__(self, fault=""):
        self.fault, self.p = fault, initial()

    def loss(self, x, eps):
        """Return the loss."""
        return forward(self.p, x, eps)[0]

    def step(self, x, eps, rate):
        """Descend."""
        found = backward(self.p, x, eps, forward(self.p, x, eps)[1], self.fault)
        self.p = {name: array - rate * found[name] for name, array in self.p.items()}


class Noisy:
    """Draws eps in forward; with the fault "eps drawn twice" in backward again."""

    def __init__(self, fault=""):
        self.fault, self.p, self.rng = fault, initial(), np.random.default_rng(0)

    def loss(self, x):
        """Return the loss."""
        self.eps = self.rng.standard_normal((B, Z))
        loss, self.cache = forward(self.p, x, self.eps)
        return loss

    def gradient(self, x):
        """Return {name: gradient} of the last loss."""
        eps = self.rng.standard_normal((B, Z)) if self.fault == "eps drawn twice" else self.eps
        return backward(self.p, x, eps, self.cache, self.fault)


def loss_and_grad(p, x, eps, fault=""):
    """Return (loss, {name: gradient})."""
    loss, cache = forward(p, x, eps)
    return loss, backward(p, x, eps, cache, fault)


def list_loss_and_grad(weights, x, eps, fault=""):
    """Return (loss, [gradients]) of a list of arrays."""
    loss, found = loss_and_grad(dict(zip(SHAPES, weights)), x, eps, fault)
    return loss, list(found.values())
