"""Random hand-written VAEs, right or with one fault of FAULTS, and the arguments of examine_vae for them.

Loss and gradient agree in spite of most of these faults, so that a gradient check finds nothing.
"""
import math

import numpy as np

ACTIVATIONS = {"tanh": (np.tanh, lambda y: 1 - y**2), "relu": (lambda a: np.maximum(a, 0), lambda y: (y > 0) * 1.0),
               "sigmoid": (lambda a: 1 / (1 + np.exp(-a)), lambda y: y * (1 - y))}
# fault: (name of the row that finds it, a part of its hint)
FAULTS = {
    "sampler sigma^2": ("sampler", "exp(logvar) = sigma^2 stands for sigma"),
    "sampler sigma / 2": ("sampler", "the noise is halved"),
    "noise without sigma": ("sampler", "the noise lacks sigma"),
    "own noise too wide": ("sampler", "the variance of z is"),
    "own noise once": ("sampler", "two examples of a batch"),
    "z = mu": ("noise", "does not depend on eps"),
    "batch statistics": ("encode one by one", "are the batch's statistics used?"),
    "other reconstruction": ("reconstruction", "it is averaged over the pixels"),
    "KL without 1/2": ("KL", "the 1/2 is missing"), "KL over latents": ("KL", "averaged over the latents"),
    "KL log sigma": ("KL", "logvar is taken for log sigma"), "KL reversed": ("KL", "KL(p || q)"),
    "KL times sigma in the loss": ("KL", "it is multiplied by sigma"),
    "KL negative": ("KL >= 0", "no divergence is negative"),
    "loss of other parts": ("loss = reconstruction + beta KL", "the loss is not reconstruction + beta KL"),
    "beta in the KL": ("loss = reconstruction + beta KL", "the KL that is reported has beta in it already"),
    "beta ignored": ("beta", "is beta used?"),
    "other reduction": ("loss of a batch", "over the examples"),
    "order of the batch": ("loss in another order", "depends on the order"),
    "nll over pixels": ("exp(-nll) adds up to 1", "it is averaged over the pixels"),
    "constants dropped": ("exp(-nll) adds up to 1", "exp(-nll) adds up to"),
    "sigmoid twice": ("pixel mean", "a sigmoid is applied twice"),
    "logits for pixels": ("pixel mean", "are these logits?"),
    "0 log 0": ("extreme outputs", "0 log 0"), "exp overflows": ("extreme outputs", "exp(l) overflows"),
    "bright pixels": ("generated pixels", "do not have its mean"),
    "gradient reports": ("loss of gradient", "another loss than objective"),
    "step reports": ("loss of step", "another loss than objective"),
    "step another": ("gradient of step", "step uses another gradient"),
    "stale weights": ("gradient after 3 steps", ""),
    "adam slots": ("optimizer", "moments are kept by slot"), "adam uncorrected": ("optimizer", "1 - beta^t"),
    "adam under the root": ("optimizer", "under the root"), "adam without root": ("optimizer", "not by its root"),
    "adam forgotten": ("optimizer", "forgotten"), "adam decay": ("optimizer", "weight decay"),
    "ascent": ("optimizer", "along the gradient"),
    "missing 1/2": ("gradient", "is the 1/2 of E7 missing?"), "missing path": ("gradient", "it never arrives"),
    "sigma^2 in the gradient": ("gradient", "sigma^2 stands for sigma"),
    "KL times sigma": ("gradient", "(sigma^2 - 1) sigma"), "KL sign": ("gradient", "a sign is flipped"),
    "beta not in the gradient": ("gradient", "beta is missing"), "z for mu": ("gradient", "z stands for mu"),
    "eps drawn twice": ("gradient", "does it draw noise of its own"),
    "trunk from mu only": ("gradient", "the sum of what each of these sends back"),
    "last row": ("gradient", "a part of this gradient never arrives"),
    "sign of one array": ("gradient", "a sign is flipped")}


def softplus(a):
    return np.logaddexp(0, a)


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))


class Net:
    """x -> hidden -> (mu, logvar) -> z -> outputs, everything drawn from a seed.

    logvar is `power` times what the head puts out, which for 2 is log sigma.
    """

    def __init__(self, seed, fault="", power=1):
        rng = self.rng = np.random.default_rng(seed)
        self.fault, self.power = fault, power
        self.D, self.H, self.Z, self.B = (int(rng.integers(*ends)) for ends in ((4, 8), (3, 7), (1, 4), (2, 6)))
        self.Z += fault in ("KL over latents",) and self.Z == 1
        self.outputs = {"constants dropped": "means", "sigmoid twice": "logits", "exp overflows": "logits",
                        "bright pixels": "logits", "0 log 0": "probabilities",
                        "logits for pixels": "probabilities"}.get(fault, str(rng.choice(
                            ["probabilities", "logits", "means"][:2 if fault == "nll over pixels" else 3])))
        self.sigma, self.beta = float(rng.uniform(0.6, 1.5)), float(rng.choice([0.4, 1.0, 2.5]))
        self.beta = 2.5 if "beta" in fault else self.beta
        self.reduction = str(rng.choice(["mean", "sum"]))
        self.act, self.slope = ACTIVATIONS["tanh" if fault == "trunk from mu only" else
                                           str(rng.choice(list(ACTIVATIONS)))]
        self.joint = bool(rng.integers(2)) and fault != "trunk from mu only"
        self.dtype = np.dtype("float32" if not fault and rng.integers(5) == 0 else "float64")
        shapes = {"We": (self.D, self.H), "be": (self.H,), "Wd": (self.Z, self.H), "bd": (self.H,),
                  "Wo": (self.H, self.D), "bo": (self.D,)}
        shapes |= ({"Wh": (self.H, 2 * self.Z), "bh": (2 * self.Z,)} if self.joint else
                   {"Wm": (self.H, self.Z), "bm": (self.Z,), "Wl": (self.H, self.Z), "bl": (self.Z,)})
        self.p = {name: (0.6 * rng.standard_normal(shape)).astype(self.dtype) for name, shape in shapes.items()}
        self.x = rng.random((self.B, self.D)).astype(self.dtype)
        self.eps = rng.standard_normal((self.B, self.Z)).astype(self.dtype)
        self.moments, self.old, self.steps = {}, None, 0

    def hidden(self, x):
        if self.fault == "batch statistics":
            x = x - x.mean(axis=0)
        return self.act(x @ self.p["We"] + self.p["be"])

    def head(self, h):
        p = self.p
        if self.joint:
            both = h @ p["Wh"] + p["bh"]
            return both[:, :self.Z], self.power * both[:, self.Z:]
        return h @ p["Wm"] + p["bm"], self.power * (h @ p["Wl"] + p["bl"])

    def encode(self, x):
        return self.head(self.hidden(x))

    def spread(self, logvar):
        """Return (s, ds/dlogvar) of z = mu + s eps."""
        sigma = np.exp(logvar / 2)
        return {"sampler sigma^2": (sigma**2, sigma**2), "sampler sigma / 2": (sigma / 2, sigma / 4),
                "noise without sigma": (1 + 0 * sigma, 0 * sigma), "z = mu": (0 * sigma, 0 * sigma)}.get(
                    self.fault, (sigma, sigma / 2))

    def draw(self, mu, logvar, eps):
        return mu + self.spread(logvar)[0] * eps

    def draw_own(self, mu, logvar):
        """Draw noise inside."""
        noise = self.rng.standard_normal(mu.shape) * (1.5 if self.fault == "own noise too wide" else 1)
        if self.fault == "own noise once":
            noise[:] = noise[:1]
        return mu + np.exp(logvar / 2) * noise

    def raw(self, z):
        h = self.act(z @ self.p["Wd"] + self.p["bd"])
        return h, h @ self.p["Wo"] + self.p["bo"]

    def decode(self, z):
        raw = self.raw(z)[1]
        return sigmoid(raw) if self.outputs == "probabilities" and self.fault != "logits for pixels" else raw

    def pixels(self, x, raw):
        """Return (nll per pixel, its derivative)."""
        if self.outputs == "means":
            constant = 0.0 if self.fault == "constants dropped" else math.log(self.sigma) + 0.5 * math.log(2 * math.pi)
            return 0.5 * ((x - raw) / self.sigma)**2 + constant, (raw - x) / self.sigma**2
        if self.fault == "sigmoid twice":
            s = sigmoid(raw)
            return softplus(s) - x * s, (sigmoid(s) - x) * s * (1 - s)
        return softplus(raw) - x * raw, sigmoid(raw) - x

    def nll(self, x, decoded):
        if self.fault == "exp overflows":
            each = np.log(1 + np.exp(decoded)) - x * decoded
        elif self.outputs == "probabilities":
            p = decoded if self.fault == "0 log 0" else np.clip(decoded, 1e-12, 1 - 1e-12)
            each = -(x * np.log(p) + (1 - x) * np.log(1 - p))
        else:
            each = self.pixels(x, decoded)[0]
        return each.mean() if self.fault == "nll over pixels" else each.sum()

    def divergence(self, mu, logvar):
        """Return (KL per latent, its derivatives along mu and logvar)."""
        v = np.exp(logvar)
        kl, d_mu, d_logvar = 0.5 * (mu**2 + v - logvar - 1), mu, 0.5 * (v - 1)
        if self.fault == "KL without 1/2":
            return 2 * kl, 2 * d_mu, 2 * d_logvar
        if self.fault == "KL over latents":
            return kl / self.Z, d_mu / self.Z, d_logvar / self.Z
        if self.fault == "KL log sigma":
            return 0.5 * (mu**2 + v**2 - 2 * logvar - 1), mu, v**2 - 1
        if self.fault == "KL reversed":
            return 0.5 * ((1 + mu**2) / v - 1 + logvar), mu / v, 0.5 * (1 - (1 + mu**2) / v)
        if self.fault == "KL times sigma in the loss":
            s = np.sqrt(v)
            return kl * s, d_mu * s, (d_logvar + kl / 2) * s
        return kl, d_mu, d_logvar

    def weights(self, n):
        """Return the weight of each example in the loss."""
        w = np.linspace(1, 2, n) if self.fault == "order of the batch" else np.ones(n)
        mean = (self.reduction == "mean") != (self.fault == "other reduction")
        return w / n if mean else w

    def objective(self, x, eps, beta=None):
        beta = self.beta if beta is None or self.fault == "beta ignored" else beta
        mu, logvar = self.encode(x)
        w = self.weights(len(x))
        reconstruction = w @ self.pixels(x, self.raw(self.draw(mu, logvar, eps))[1])[0].sum(axis=1)
        kl = w @ self.divergence(mu, logvar)[0].sum(axis=1)
        loss = reconstruction + beta * kl
        if self.fault == "nll over pixels":
            reconstruction, loss = reconstruction / self.D, loss - reconstruction * (1 - 1 / self.D)
        if self.fault == "other reconstruction":
            reconstruction = reconstruction / self.D
        kl = {"KL negative": -kl, "beta in the KL": beta * kl}.get(self.fault, kl)
        return loss + (self.fault == "loss of other parts"), reconstruction, kl

    def gradient(self, x, eps):
        p, fault, w = self.p, self.fault, self.weights(len(x))[:, None]
        if fault == "stale weights":
            p = self.old or p
        h = self.hidden(x)
        mu, logvar = self.head(h)
        s, ds = self.spread(logvar)
        z = self.draw(mu, logvar, eps)
        hd, raw = self.raw(z)
        d_raw = w * self.pixels(x, raw)[1] / (self.D if fault == "nll over pixels" else 1)
        d_hd = (d_raw @ p["Wo"].T) * self.slope(hd)
        d_z = d_hd @ p["Wd"].T
        noise = self.rng.standard_normal(eps.shape) if fault == "eps drawn twice" else eps
        ds = {"missing 1/2": 2 * ds, "missing path": 0 * ds, "sigma^2 in the gradient": s**2 / 2}.get(fault, ds)
        _, kl_mu, kl_logvar = self.divergence(mu, logvar)
        if fault in ("KL times sigma", "KL sign"):
            kl_logvar = -kl_logvar if fault == "KL sign" else kl_logvar * s
        kl_mu = z if fault == "z for mu" else kl_mu
        beta = w * (1 if fault == "beta not in the gradient" else self.beta)
        d_mu, d_logvar = d_z + beta * kl_mu, self.power * (d_z * noise * ds + beta * kl_logvar)
        if self.joint:
            d_head = np.hstack([d_mu, d_logvar])
            found, d_h = {"Wh": h.T @ d_head, "bh": d_head.sum(0)}, d_head @ p["Wh"].T
        else:
            found = {"Wm": h.T @ d_mu, "bm": d_mu.sum(0), "Wl": h.T @ d_logvar, "bl": d_logvar.sum(0)}
            d_h = d_mu @ p["Wm"].T + (0 if fault == "trunk from mu only" else 1) * d_logvar @ p["Wl"].T
        d_a = d_h * self.slope(h)
        first = x - x.mean(axis=0) if fault == "batch statistics" else x
        found |= {"We": first.T @ d_a, "be": d_a.sum(0), "Wd": z.T @ d_hd, "bd": d_hd.sum(0), "Wo": hd.T @ d_raw,
                  "bo": d_raw.sum(0)}
        if fault == "last row":
            found["Wo"][-1] = 0
        if fault == "sign of one array":
            found["Wo"] *= -1
        return found

    def loss_and_gradient(self, x, eps):
        found = self.gradient(x, eps)
        return self.objective(x, eps)[0] * (1 / self.D if self.fault == "gradient reports" else 1), found

    def step(self, x, eps):
        loss, found = self.objective(x, eps)[0], self.gradient(x, eps)
        self.old = dict(self.p)
        for name, array in found.items():
            self.p[name] = self.p[name] - 0.01 * (2 if self.fault == "step another" else 1) * array
        return loss / self.D if self.fault == "step reports" else loss

    def update(self, theta, g):
        """Adam, or SGD with momentum."""
        self.steps += 1
        if self.fault == "ascent" or self.fault[:4] != "adam" and self.joint:
            self.velocity = 0.9 * getattr(self, "velocity", 0) + g
            return theta + (0.01 if self.fault == "ascent" else -0.01) * self.velocity
        slots = 4 if self.fault == "adam slots" else 1
        slot, t = self.steps % slots, (self.steps - 1) // slots + 1
        if self.fault == "adam forgotten":
            self.moments, t = {}, 1
        if self.fault == "adam decay":
            g = g + 0.01 * theta
        m, v = self.moments.get(slot, (0, 0))
        m, v = self.moments[slot] = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        if self.fault != "adam uncorrected":
            m, v = m / (1 - 0.9**t), v / (1 - 0.999**t)
        bottom = {"adam under the root": np.sqrt(v + 1e-8), "adam without root": v + 1e-8}.get(
            self.fault, np.sqrt(v) + 1e-8)
        theta -= 0.01 * m / bottom

    def generate(self, z):
        raw = self.raw(z)[1]
        if self.outputs == "means":
            return raw + self.sigma * self.rng.standard_normal(raw.shape)
        return (self.rng.random(raw.shape) < (softplus(raw) if self.fault == "bright pixels" else sigmoid(raw))) * 1.0

    def arguments(self):
        """Return the arguments of examine_vae."""
        own = self.fault.startswith("own noise")
        return dict(encode=self.encode, draw=self.draw_own if own else self.draw, decode=self.decode, nll=self.nll,
                    objective=self.objective, gradient=self.loss_and_gradient, step=self.step, params=self.p,
                    update=self.update, generate=self.generate, x=self.x, eps=self.eps, beta=self.beta,
                    learning_rate=0.01, outputs=self.outputs, reduction=self.reduction)
