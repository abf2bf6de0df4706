"""Backpropagation by hand: one tiny VAE, every number of one step, each derivative beside its finite difference.

The network and its derivation are the three tables of demos/tiny.py, in the order and with the tags of the library's
(E1 to E9 in scratchvae/elbo.py, D1 to D5 in scratchvae/kernels/dense.py): read them beside what is printed here.

T8: the chain runs through the draw z, back into mu and v; every node, input and parameter has its gradient.
T10: v is log sigma^2, hence both halves of E7.
T15: the loss is the negative ELBO, reconstruction plus KL, and the library computes the same one.
T16: Gaussian pixels change two lines, E8 and E9.

`scratchvae backward --open` makes this graph a page: every number can be dragged, and every product walked.
"""
import numpy as np

from demos.plots.graph import computation_graph
from scratchvae import VAE

from .course import Claim, main, Result
from .tiny import CHAIN, differences, forward, GAUSSIAN, LOCAL, PARAMETERS, STEPS

TITLE = "Backpropagation through a VAE, by hand"
CLOSE = 1e-9                  # the central differences are off by about 1e-10


def numbers(values):
    return " ".join(f"{round(float(value), 6) + 0.0:9.6f}" for value in np.ravel(values))


def walk(t):
    """The whole step as lines of text; fills t with d_name; returns (lines, worst local error, worst chain error)."""
    formulas = {node: formula for _, node, _, formula in STEPS}
    lines = ["forward"] + [f"  {tag}  {node:12} = {formula:36} {numbers(t[node])}" for tag, node, formula, _ in STEPS]
    lines += ["", f"{'local derivatives':57}{'by hand':22}by differences"]
    errors = ([], [])
    for tag, node, by, formula, derivative in LOCAL:
        value, difference = np.ravel(derivative(t)), differences(formulas[node], t, by)
        errors[0].append(np.abs(value - difference).max())
        lines.append(f"  {tag}  d{node + '/d' + by:11} = {formula:36} {numbers(value):21} {numbers(difference)}")
    lines += ["", f"{'chain rule, from the loss down':57}{'by hand':22}by differences of L"]
    for tag, name, formula, product in CHAIN:
        t["d_" + name] = product(t)
        difference = differences(lambda moved: forward(moved, held={name})["L"], t, name)
        errors[1].append(np.abs(np.ravel(t["d_" + name]) - difference).max())
        lines.append(f"  {tag}  {'d_' + name:12} = {formula:36} {numbers(t['d_' + name]):21} {numbers(difference)}")
    return lines, max(errors[0]), max(errors[1])


def picture(t):
    """The graph with every value, every cotangent and every local derivative of the step."""
    places = dict(x=(0, 5), A=(1.8, 5), h=(3.3, 5), mu=(0, 4), v=(6, 4), eps=(1.4, 3), z=(3, 3), sigma=(4.6, 3),
                  C=(1.2, 2), g=(2.9, 2), l=(4.8, 2), nll=(4.8, 1), L=(3, 1), kl=(3, 0))
    names = {"x": "x (in A and nll)", "A": "A = x U + a", "h": "h = tanh(A)", "mu": "μ", "v": "v = log σ²",
             "sigma": "σ", "eps": "ε, drawn", "z": "z = μ + σε", "C": "C = z R + r", "g": "g = tanh(C)",
             "l": "logits = g S + s", "nll": "nll", "kl": "kl", "L": "loss L = nll + kl"}

    def short(values, between=",  "):
        return between.join(f"{round(float(value), 3) + 0.0:.3f}" for value in np.ravel(values)).replace("-", "−")
    nodes = {name: (*place, f"{names[name]}\n{short(t[name])}\nd  {short(t['d_' + name])}")
             for name, place in places.items()}
    local = {(by, node): short(derivative(t), "\n") for _, node, by, _, derivative in LOCAL}
    local |= {("g", "l"): short(t["S"], "\n"), ("x", "A"): short(t["U"], "\n")}              # one number an entry
    return computation_graph(nodes, [(*arrow, text, arrow[0] in ("mu", "v") and arrow[1] == "kl")
                                     for arrow, text in local.items() if arrow[0] in nodes and arrow != ("x", "nll")],
                             "One step: value and d = dL/d(it) in each box, local derivatives on the arrows", 7.4, 7.0)


def example(seed):
    """The tiny VAE of a seed: (vae, X, eps, its nodes).  Of seed 0 more than half of d_v comes through the draw."""
    vae = VAE(2, n_latent=1, hidden=(1,), activation="tanh", dtype="float64")
    rng = np.random.default_rng(seed + 287)
    vae.parameters.flat[:] = rng.uniform(-1.2, 1.2, vae.parameters.flat.size)
    X, eps = np.array([[1.0, 0.0]]), rng.standard_normal((1, 1))
    given = {name: vae.parameters[segment].copy() for name, segment in PARAMETERS.items()}
    return vae, X, eps, forward({**given, "x": X[0], "eps": eps[0, 0]})


def run(settings):
    vae, X, eps, t = example(settings.seed)
    lines, local_error, chain_error = walk(t)
    objective, gradient = vae.gradient(X, eps)
    off = max(np.abs(gradient[segment] - t["d_" + name]).max() for name, segment in PARAMETERS.items())
    halved = differences(lambda moved: forward(moved, held={"v"})["L"], t, "v")[0]
    gaussian = differences(lambda moved: forward(moved, {"l"}, GAUSSIAN)["L"], t, "l")
    e9 = np.abs(gaussian - (t["l"] - t["x"]) / 0.25).max()
    claims = [
        Claim("T15", "loss, reconstruction and KL by hand are the library's (E1 to E4)",
              f"{t['L']:.6f} = {t['nll']:.6f} + {t['kl']:.6f} nats", f"{objective.loss:.6f} nats within 1e-12",
              max(abs(t[a] - b) for a, b in zip(("L", "nll", "kl"), objective)) < 1e-12),
        Claim("T8", f"{len(LOCAL)} local derivatives and their finite differences", f"worst error {local_error:.0e}",
              "below 1e-9", local_error < CLOSE),
        Claim("T8", f"every node, input and parameter: {len(CHAIN)} chain-rule products, and differences of the loss",
              f"worst error {chain_error:.0e}", "below 1e-9", chain_error < CLOSE),
        Claim("T8", "the library's gradient of all 13 parameters is the products by hand", f"worst error {off:.0e}",
              "below 1e-12", off < 1e-12),
        Claim("T10", "d_v with both halves of E7 is the slope along log sigma^2", f"{t['d_v']:.6f}",
              f"{halved:.6f} by differences", abs(t["d_v"] - halved) < CLOSE),
        Claim("T16", "with Gaussian pixels of sigma 0.5 instead (E8), d_l = (l - x) / sigma^2 (E9)",
              f"worst error {e9:.0e}", "below 1e-9", e9 < CLOSE)]
    return Result(claims, {"graph": picture(t)}, "\n".join(lines))


if __name__ == "__main__":
    main(run)
