"""One training step that fits on a page, with B = 2 examples, K = 2 draws, Z = 2 latents, D = 3 pixels and H = 2 units.

The names are those of demos/tiny.py; what a capital letter adds is rows: x, h, mu and v have one an example, z, g and l
one a draw.  `python -m demos.predictions` writes the tables of this module into demos/README.md.
"""
import numpy as np

INPUTS = {
    "x": [[1, 0, 1], [0, 0, 1]], "eps": [[0.5, -1], [1, 0.2], [-0.4, 0.8], [0.3, -0.6]],
    "U": [[0.4, -0.3], [0.2, 0.6], [-0.5, 0.1]], "a": [0.3, -0.2],
    "W": [[0.7, -0.2, 0.3, -0.6], [0.5, 0.9, -0.4, 0.2]], "c": [0, 0.1, -0.5, -1],
    "R": [[0.8, -0.5], [0.3, 0.6]], "r": [0.1, 0],
    "S": [[0.9, -0.7, 0.4], [-0.3, 0.5, 0.8]], "s": [0.2, -0.1, 0]}
SHAPES = [  # name, shape, rows, what it is
    ("x", "(B, D)", "the examples"), ("U, a", "(D, H), (H,)", "the encoder's hidden layer"),
    ("A, h", "(B, H)", "A = x U + a, h = tanh(A)"), ("W, c", "(H, 2Z), (2Z,)", "the encoder's last layer"),
    ("[mu | v]", "(B, 2Z)", "h W + c: first the means, then the log variances"),
    ("eps", "(B K, Z)", "the noise, K rows an example, one example after the other"),
    ("z", "(B K, Z)", "mu + sigma eps; a row of mu and sigma serves K rows"),
    ("R, r", "(Z, H), (H,)", "the decoder's hidden layer"), ("C, g", "(B K, H)", "C = z R + r, g = tanh(C)"),
    ("S, s", "(H, D), (D,)", "the decoder's last layer"), ("l", "(B K, D)", "g S + s, the logits"),
    ("nll", "(B K,)", "one number a draw"), ("kl", "(B,)", "one number an example"), ("L", "()", "one number"),
    ("d_name", "as the name", "dL/d(name): one slope an entry")]
PRODUCTS = [  # tag, what is computed, how it is written: in the order in which they run
    ("D1", "A", "x U + a"), ("D1", "h", "tanh(A)"), ("E1", "mu", "h W + c, the first Z columns"),
    ("E1", "v", "h W + c, the other Z columns"), ("E2", "sigma", "exp(v / 2)"), ("E2", "z", "mu + sigma eps"),
    ("D1", "C", "z R + r"), ("D1", "g", "tanh(C)"), ("E3", "l", "g S + s"),
    ("E4", "nll", "sum_d [softplus(l) - x l]"), ("E4", "kl", "1/2 sum_j (mu^2 + sigma^2 - 1 - v)"),
    ("E4", "L", "mean of nll + beta mean of kl"),
    ("E4", "d_L", "1"), ("E4", "d_nll", "1 / (B K)"), ("E4", "d_kl", "beta / B"),
    ("E5", "d_l", "(sigmoid(l) - x) d_nll"), ("D3", "d_S", "g^T d_l"), ("D4", "d_s", "sum of the rows of d_l"),
    ("D5", "d_g", "d_l S^T"), ("D2", "d_C", "d_g (1 - g^2)"), ("D3", "d_R", "z^T d_C"),
    ("D4", "d_r", "sum of the rows of d_C"), ("D5", "d_z", "d_C R^T"), ("E6", "d_mu", "sum_k d_z + d_kl mu"),
    ("E7", "d_sigma", "sum_k d_z eps"), ("E7", "d_v", "d_sigma sigma / 2 + d_kl (sigma^2 - 1) / 2"),
    ("D3", "d_W", "h^T [d_mu | d_v]"), ("D4", "d_c", "sum of the rows of [d_mu | d_v]"),
    ("D5", "d_h", "[d_mu | d_v] W^T"), ("D2", "d_A", "d_h (1 - h^2)"), ("D3", "d_U", "x^T d_A"),
    ("D4", "d_a", "sum of the rows of d_A")]


def step(beta=1.0, half=0.5, **changed):
    """Return all arrays of the step by name; `half` is the 1/2 of the draw's way to v, for whoever forgets it."""
    t = {name: np.array(values, dtype=float) for name, values in {**INPUTS, **changed}.items()}
    x, (B, Z) = t["x"], (len(t["x"]), t["eps"].shape[1])
    K = len(t["eps"]) // B
    t["A"] = x @ t["U"] + t["a"]
    t["h"] = np.tanh(t["A"])
    head = t["h"] @ t["W"] + t["c"]
    t["mu"], t["v"] = head[:, :Z], head[:, Z:]
    t["sigma"] = np.exp(t["v"] / 2)
    t["z"] = np.repeat(t["mu"], K, axis=0) + np.repeat(t["sigma"], K, axis=0) * t["eps"]
    t["C"] = t["z"] @ t["R"] + t["r"]
    t["g"] = np.tanh(t["C"])
    t["l"] = t["g"] @ t["S"] + t["s"]
    target = np.repeat(x, K, axis=0)
    t["nll"] = np.sum(np.logaddexp(0, t["l"]) - target * t["l"], axis=1)
    t["kl"] = 0.5 * np.sum(t["mu"] ** 2 + t["sigma"] ** 2 - 1 - t["v"], axis=1)
    t["L"] = t["nll"].mean() + beta * t["kl"].mean()
    t["d_L"], t["d_nll"], t["d_kl"] = np.ones(()), np.full(B * K, 1 / (B * K)), np.full(B, beta / B)
    t["d_l"] = (1 / (1 + np.exp(-t["l"])) - target) * t["d_nll"][:, None]
    t["d_S"], t["d_s"], t["d_g"] = t["g"].T @ t["d_l"], t["d_l"].sum(axis=0), t["d_l"] @ t["S"].T
    t["d_C"] = t["d_g"] * (1 - t["g"] ** 2)
    t["d_R"], t["d_r"], t["d_z"] = t["z"].T @ t["d_C"], t["d_C"].sum(axis=0), t["d_C"] @ t["R"].T
    d_z, t["d_sigma"] = (rows.reshape(B, K, Z).sum(axis=1) for rows in (t["d_z"], t["d_z"] * t["eps"]))
    t["d_mu"] = d_z + t["d_kl"][:, None] * t["mu"]
    t["d_v"] = t["d_sigma"] * t["sigma"] * half + t["d_kl"][:, None] * (t["sigma"] ** 2 - 1) / 2
    d_head = np.hstack([t["d_mu"], t["d_v"]])
    t["d_W"], t["d_c"], t["d_h"] = t["h"].T @ d_head, d_head.sum(axis=0), d_head @ t["W"].T
    t["d_A"] = t["d_h"] * (1 - t["h"] ** 2)
    t["d_U"], t["d_a"] = x.T @ t["d_A"], t["d_A"].sum(axis=0)
    return t


def written(values, digits):
    """Return an array on one line: blanks between entries, semicolons between rows."""
    return "; ".join(" ".join(f"{round(float(value), digits) + 0.0:.{digits}f}" for value in row)
                     for row in np.atleast_2d(values))


def shapes():
    """Return the table of shapes as text."""
    return "\n".join(["```text", *(f"{name:8}  {shape:14}  {what}" for name, shape, what in SHAPES), "```"])


def example():
    """Return the inputs and every product as text."""
    t = step()
    lines = ["given (a semicolon ends a row)"] + [f"    {name:7} = {written(t[name], 1)}" for name in INPUTS]
    return "\n".join(["```text", *lines, "computed",
                      *(f"{tag}  {name:7} = {formula}\n    {written(t[name], 3)}"
                        for tag, name, formula in PRODUCTS), "```"])


def entries():
    """Return D2 to D5 for one entry each of the decoder's hidden layer, with the numbers that they add up."""
    t = step()
    z, d_C, R = t["z"], t["d_C"], t["R"]
    terms = {"d_C[2, 0]": (t["d_g"][2, :1], 1 - t["g"][2, :1] ** 2, d_C[2, 0]),
             "d_R[0, 1]": (z[:, 0], d_C[:, 1], t["d_R"][0, 1]), "d_r[1]": (np.ones(4), d_C[:, 1], t["d_r"][1]),
             "d_z[2, 0]": (d_C[2], R[0], t["d_z"][2, 0])}
    return "\n".join(["```text", *(
        f"{name:9} = " + " + ".join(f"({one:.3f})({other:.3f})" for one, other in zip(left, right)) + f" = {total:.3f}"
        for name, (left, right, total) in terms.items()), "```"])
