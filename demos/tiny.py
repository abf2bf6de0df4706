"""The smallest VAE with everything in it, as three tables: two pixels, one hidden unit (tanh), one latent, beta = 1.

STEPS is the forward pass, a line a node of the graph; LOCAL the derivative of each node by each node or parameter that
it reads; CHAIN the backward pass, for every node, input and parameter: d_name is what comes from above times a local
derivative, summed over the ways.
Tags as in scratchvae/elbo.py (E) and scratchvae/kernels/dense.py (D); one example, one draw.
"""
import numpy as np

STEP = 1e-5                   # of the central differences: their error is about 1e-10
PARAMETERS = {"U": "encoder.0.W", "a": "encoder.0.b", "W": "encoder.head.W", "c": "encoder.head.b",
              "R": "decoder.0.W", "r": "decoder.0.b", "S": "decoder.head.W", "s": "decoder.head.b"}


def sigmoid(l):
    return 1 / (1 + np.exp(-l))


STEPS = [  # tag, node, formula, the node from all that is known
    ("D1", "A", "x U + a", lambda t: t["x"] @ t["U"] + t["a"]),
    ("D1", "h", "tanh(A)", lambda t: np.tanh(t["A"])),
    ("E1", "mu", "h W[:,0] + c[0]", lambda t: t["h"] @ t["W"][:, 0] + t["c"][0]),
    ("E1", "v", "h W[:,1] + c[1]", lambda t: t["h"] @ t["W"][:, 1] + t["c"][1]),
    ("E2", "sigma", "exp(v / 2)", lambda t: np.exp(t["v"] / 2)),
    ("E2", "z", "mu + sigma eps", lambda t: t["mu"] + t["sigma"] * t["eps"]),
    ("D1", "C", "z R + r", lambda t: np.atleast_1d(t["z"]) @ t["R"] + t["r"]),
    ("D1", "g", "tanh(C)", lambda t: np.tanh(t["C"])),
    ("E3", "l", "g S + s", lambda t: t["g"] @ t["S"] + t["s"]),
    ("E4", "nll", "sum softplus(l) - x l", lambda t: np.sum(np.logaddexp(0, t["l"]) - t["x"] * t["l"])),
    ("E4", "kl", "(mu^2 + e^v - 1 - v) / 2", lambda t: 0.5 * (t["mu"] ** 2 + np.exp(t["v"]) - 1 - t["v"])),
    ("E4", "L", "nll + kl", lambda t: t["nll"] + t["kl"])]
GAUSSIAN = {"nll": lambda t: np.sum(0.5 * (t["x"] - t["l"]) ** 2 / 0.25 + np.log(0.5) + 0.5 * np.log(2 * np.pi))}
LOCAL = [  # tag, node, by what, formula, the derivatives (of the node's sum) in the order of the second's entries
    ("E4", "L", "nll", "1", lambda t: np.ones(1)),
    ("E4", "L", "kl", "beta = 1", lambda t: np.ones(1)),
    ("E5", "nll", "l", "sigmoid(l) - x", lambda t: sigmoid(t["l"]) - t["x"]),
    ("E4", "nll", "x", "-l", lambda t: -t["l"]),
    ("D3", "l", "S", "g, each column", lambda t: np.repeat(t["g"], 2)),
    ("D4", "l", "s", "1, each", lambda t: np.ones(2)),
    ("D5", "l", "g", "S[0,0] + S[0,1], both l", lambda t: t["S"].sum(axis=1)),
    ("D2", "g", "C", "1 - g^2", lambda t: 1 - t["g"] ** 2),
    ("D3", "C", "R", "z", lambda t: t["z"]),
    ("D4", "C", "r", "1", lambda t: np.ones(1)),
    ("D5", "C", "z", "R", lambda t: t["R"]),
    ("E6", "z", "mu", "1", lambda t: np.ones(1)),
    ("E6", "kl", "mu", "mu", lambda t: t["mu"]),
    ("E7", "z", "sigma", "eps", lambda t: t["eps"]),
    ("E2", "z", "eps", "sigma", lambda t: t["sigma"]),
    ("E7", "sigma", "v", "sigma / 2", lambda t: t["sigma"] / 2),
    ("E7", "kl", "v", "(sigma^2 - 1) / 2", lambda t: (t["sigma"] ** 2 - 1) / 2),
    ("D3", "mu", "W", "h, 0", lambda t: np.append(t["h"], 0)),
    ("D3", "v", "W", "0, h", lambda t: np.append(0, t["h"])),
    ("D4", "mu", "c", "1, 0", lambda t: np.array([1, 0])),
    ("D4", "v", "c", "0, 1", lambda t: np.array([0, 1])),
    ("D5", "mu", "h", "W[:,0]", lambda t: t["W"][:, 0]),
    ("D5", "v", "h", "W[:,1]", lambda t: t["W"][:, 1]),
    ("D2", "h", "A", "1 - h^2", lambda t: 1 - t["h"] ** 2),
    ("D5", "A", "x", "U", lambda t: t["U"]),
    ("D3", "A", "U", "x", lambda t: t["x"]),
    ("D4", "A", "a", "1", lambda t: np.ones(1))]
CHAIN = [  # tag, node, input or parameter, formula, dL/d(it) from what stands above (t["d_..."])
    ("E4", "L", "1", lambda t: 1.0),
    ("E4", "nll", "d_L 1", lambda t: t["d_L"]),
    ("E4", "kl", "d_L beta", lambda t: t["d_L"]),
    ("E5", "l", "d_nll (sigmoid(l) - x)", lambda t: t["d_nll"] * (sigmoid(t["l"]) - t["x"])),
    ("D3", "S", "g^T d_l", lambda t: np.outer(t["g"], t["d_l"])),
    ("D4", "s", "d_l", lambda t: t["d_l"]),
    ("D5", "g", "d_l S^T", lambda t: t["d_l"] @ t["S"].T),
    ("D2", "C", "d_g (1 - g^2)", lambda t: t["d_g"] * (1 - t["g"] ** 2)),
    ("D3", "R", "z^T d_C", lambda t: np.outer(t["z"], t["d_C"])),
    ("D4", "r", "d_C", lambda t: t["d_C"]),
    ("D5", "z", "d_C R^T", lambda t: (t["d_C"] @ t["R"].T)[0]),
    ("E2", "eps", "d_z sigma", lambda t: t["d_z"] * t["sigma"]),
    ("E6", "mu", "d_z 1 + d_kl mu", lambda t: t["d_z"] + t["d_kl"] * t["mu"]),
    ("E7", "sigma", "d_z eps", lambda t: t["d_z"] * t["eps"]),
    ("E7", "v", "d_sigma sigma/2 + d_kl (sigma^2-1)/2",
     lambda t: t["d_sigma"] * t["sigma"] / 2 + t["d_kl"] * (t["sigma"] ** 2 - 1) / 2),
    ("D3", "W", "h^T [d_mu | d_v]", lambda t: np.outer(t["h"], [t["d_mu"], t["d_v"]])),
    ("D4", "c", "[d_mu | d_v]", lambda t: np.array([t["d_mu"], t["d_v"]])),
    ("D5", "h", "[d_mu | d_v] W^T", lambda t: np.array([t["d_mu"], t["d_v"]]) @ t["W"].T),
    ("D2", "A", "d_h (1 - h^2)", lambda t: t["d_h"] * (1 - t["h"] ** 2)),
    ("D3", "U", "x^T d_A", lambda t: np.outer(t["x"], t["d_A"])),
    ("D4", "a", "d_A", lambda t: t["d_A"]),
    ("D5", "x", "d_A U^T + d_nll (-l)", lambda t: t["d_A"] @ t["U"].T - t["d_nll"] * t["l"])]


def forward(given, held=(), replace=()):
    """All nodes from the given ones; what is `held` keeps its value, what is in `replace` has another formula."""
    t = dict(given)
    for _, node, _, formula in STEPS:
        if node not in held:
            t[node] = dict(replace).get(node, formula)(t)
    return t


def differences(f, t, name):
    """Central differences of the sum of f by each entry of t[name]."""
    slopes = []
    for i in np.ndindex(np.shape(t[name])):
        ends = []
        for step in (STEP, -STEP):
            moved = np.array(t[name], dtype=float)
            moved[i] += step
            ends.append(np.sum(f({**t, name: moved})))
        slopes.append((ends[0] - ends[1]) / (2 * STEP))
    return np.array(slopes)
