"""The pages in a real browser: their arithmetic is the package's, and hands can use them."""
import json
from functools import cache

import numpy as np
import pytest

from browser import Browser, needs_browser
from scratchvae import VAE
from scratchvae.oracles import Quadrature
from scratchvae.pages import backward_page

N_CASES = 1000
CLOSE = 1e-12                   # relative to the largest number of the gradient: both sides add up a few dozen terms
ESTIMATORS = ("analytic", "antithetic", "monte_carlo", "stl", "score_function", "iwae", "dreg")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "backward.html"
    path.write_text(backward_page(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@cache
def vae_of(Z, likelihood, estimator="analytic", K=1):
    return VAE(2, n_latent=Z, hidden=(1,), activation="tanh", likelihood=likelihood, sigma=0.5, estimator=estimator,
               n_samples=K, dtype="float64")


def names_of(Z):
    """The page's names of the parameters, in the order of the package's segments."""
    head = [f"{kind}{half}{j + 1}" for kind in "Wc" for half in "mv" for j in range(Z)]
    return ["U1", "U2", "a", *head, *(f"R{j + 1}" for j in range(Z)), "r", "S1", "S2", "s1", "s2"]


def drawn_case(i):
    """Settings of the page, and the package's numbers: every fourth case has extreme log variances, logits or both."""
    rng = np.random.default_rng(i)
    Z, B, K, likelihood = 1 + i % 2, 1 + i // 2 % 2, 1 + i // 4 % 2, ("bernoulli", "gaussian")[i // 8 % 2]
    estimator, samples = ESTIMATORS[i % 7], int(rng.choice([2, 4, 6]))
    theta = dict(zip(names_of(Z), rng.uniform(-1.5, 1.5, 8 + 5 * Z)))
    if i % 4 == 3:
        theta |= {f"cv{j + 1}": rng.uniform(-40, 40) for j in range(Z)} if i % 8 == 3 else {}
        theta |= {"s1": rng.uniform(-1000, 1000), "s2": rng.uniform(-40, 40)} if i % 12 != 3 else {}
    beta, X = rng.uniform(0.1, 4), rng.random((2, 2)) if i % 3 else rng.integers(0, 2, (2, 2)).astype(float)
    eps, draws = rng.standard_normal((2, 2, Z)), rng.standard_normal((samples, Z))
    baseline = 0.0
    vae = vae_of(Z, likelihood, K=K)
    vae.parameters.layout.unpack(np.array(list(theta.values())), vae.parameters.flat)
    vae.beta = beta
    objective, gradient = vae.gradient(X[:B], eps[:B, :K] if K > 1 else eps[:B, 0])
    other = vae_of(Z, likelihood, estimator, samples)
    other.parameters.flat[:] = vae.parameters.flat
    other.beta = beta
    _, head = other.gradient(X[:1], draws[None])
    settings = {**theta, "Z": Z, "B": B, "K": K, "likelihood": likelihood, "beta": beta, "baseline": baseline,
                "estimator": estimator, "samples": samples, "draws": draws.ravel().tolist(),
                **{f"x{n + 1}{d + 1}": X[n, d] for n in range(2) for d in range(2)},
                **{f"eps{n + 1}{k + 1}{j + 1}": eps[n, k, j] for n in range(2) for k in range(2) for j in range(Z)}}
    return settings, {"loss": objective.loss, "gradient": gradient.layout.pack(gradient.flat).tolist(),
                      "head": head["encoder.head.b"].tolist()}


IN_THE_PAGE = """(cases => {
    const { network, rowsOf, gradient, forward } = modules["backward/vae.js"];
    const { decode, headGradients, paired } = modules["backward/estimators.js"];
    return cases.map(s => {
        const net = network(s.Z, s.likelihood), rows = rowsOf(s), found = gradient(net, rows);
        let eps = Float64Array.from(s.draws);
        if (s.estimator === "antithetic") eps = paired(eps, s.samples, s.Z);
        const head = headGradients(s.estimator, decode(rows[0], s.Z, eps), s.samples, s.baseline);
        return { loss: found.loss, gradient: s.names.map(name => found.gradient[name]), head: [...head] };
    });
})"""


@needs_browser
def test_the_pages_numbers_are_the_packages(browser, page):
    browser.open(page)
    settings, wanted = zip(*map(drawn_case, range(N_CASES)))
    found = browser.evaluate(f"{IN_THE_PAGE}({json.dumps([{**s, 'names': names_of(s['Z'])} for s in settings])})")
    worst = dict.fromkeys(("loss", "gradient", "head"), (0.0, -1))
    for i in range(N_CASES):
        for key in worst:
            a, b = np.atleast_1d(wanted[i][key]), np.atleast_1d(np.array(found[i][key], float))
            worst[key] = max(worst[key], (float(np.max(np.abs(a - b)) / np.max(np.abs(a))), i))
    print(worst)
    assert all(error < CLOSE for error, _ in worst.values()), worst
