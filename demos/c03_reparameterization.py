"""The reparameterization trick: what it makes differentiable, and what it saves (T8).

The graph of one draw: z = mu + sigma eps with eps given.  Every arrow has a derivative, each is shown beside its
finite difference, and their products along the paths from L back to mu and logvar are E6 and E7.  Without the trick
no arrow leads from z back to mu, and only the score function, log q's own derivative, is left.

Variance, exactly (F13).  Let x = (1, ..., 1) and q = N(0, I) in Z dimensions.  Then f = |x - z|^2 / 2 is
sum_j (eps_j - 1)^2 / 2, of mean Z, and the slope of E f by mu_1 is -1.  Of its estimates
    pathwise          eps_1 - 1                        has the variance 1
    score function    eps_1 f                          (Z - 1)^2 + 5.5 (Z - 1) + 7.5
    with b = Z        eps_1 (f - Z)                    1.5 (Z - 1) + 4.5
from the moments 1, 3, 15 of eps^2, eps^4, eps^6.
"""
import numpy as np

from demos.plots.graph import computation_graph
from demos.plots.spread import estimate_histograms, variance_against
from scratchvae import load_data, VAE
from scratchvae.estimators import head_gradient, ScoreFunction

from .course import Claim, main, Result

TITLE = "The reparameterization trick against the score function"
PATH, SCORE, CENTERED = "pathwise", "score function", "score function with a baseline"
EXACT = {PATH: lambda z: np.ones_like(z), SCORE: lambda z: (z - 1) ** 2 + 5.5 * (z - 1) + 7.5,
         CENTERED: lambda z: 1.5 * (z - 1) + 4.5}
STEP = 1e-5                   # of the central differences: their error is about 1e-10


def slope(f, at):
    return (f(at + STEP) - f(at - STEP)) / (2 * STEP)


def one_draw(x=1.2, mu=0.5, v=-0.6, eps=0.8):
    """The graph of one draw: claims on its local derivatives and their products, and the figure."""
    sigma = np.exp(v / 2)
    z = mu + sigma * eps
    local = {  # arrow: (what stands on it, its value, its finite difference)
        ("v", "sigma"): ("σ/2", sigma / 2, slope(lambda t: np.exp(t / 2), v)),
        ("sigma", "z"): ("ε", eps, slope(lambda t: mu + t * eps, sigma)),
        ("mu", "z"): ("1", 1.0, slope(lambda t: t + sigma * eps, mu)),
        ("z", "nll"): ("z − x", z - x, slope(lambda t: (x - t) ** 2 / 2, z)),
        ("mu", "kl_mu"): ("μ", mu, slope(lambda t: t * t / 2, mu)),
        ("v", "kl_v"): ("(σ² − 1)/2", (sigma ** 2 - 1) / 2, slope(lambda t: (np.exp(t) - 1 - t) / 2, v))}
    d_mu = (z - x) * 1 + mu                                                                        # (E6)
    d_v = (z - x) * eps * sigma / 2 + (sigma ** 2 - 1) / 2                                         # (E7)

    def loss(m, w):
        return (x - m - np.exp(w / 2) * eps) ** 2 / 2 + (m * m + np.exp(w) - 1 - w) / 2
    off = max(abs(value - difference) for _, value, difference in local.values())
    d_mu_off, d_v_off = abs(slope(lambda t: loss(t, v), mu) - d_mu), abs(slope(lambda t: loss(mu, t), v) - d_v)
    nodes = {"mu": (0, 4, f"μ = {mu:.3f}\ndL/dμ = {d_mu:.3f}"), "eps": (1.5, 4, f"ε = {eps:.3f}\ndrawn, given"),
             "v": (4, 4, f"v = log σ² = {v:.3f}\ndL/dv = {d_v:.3f}"),
             "sigma": (2.9, 3, f"σ = exp(v/2) = {sigma:.3f}\ndL/dσ = {(z - x) * eps:.3f}"),
             "z": (1.5, 2, f"z = μ + σε = {z:.3f}\ndL/dz = {z - x:.3f}"),
             "kl_mu": (0, 1, f"μ²/2\n= {mu * mu / 2:.3f}"), "nll": (1.5, 1, f"(x − z)²/2\n= {(x - z) ** 2 / 2:.3f}"),
             "kl_v": (4, 1, f"(σ² − 1 − v)/2\n= {(sigma ** 2 - 1 - v) / 2:.3f}"),
             "L": (1.5, 0, f"L = {loss(mu, v):.3f}")}
    edges = [(*arrow, f"{text} = {value:.3f}".replace("-", "−") if text != "1" else "1") for arrow,
             (text, value, _) in local.items()]
    edges += [("eps", "z", f"σ = {sigma:.3f}"), *((name, "L", "1") for name in ("nll", "kl_mu", "kl_v"))]
    nodes = {name: (across, up, text.replace("-", "−")) for name, (across, up, text) in nodes.items()}
    return [Claim("T8",
                  f"z = mu + sigma eps: the {len(local)} local derivatives of a draw's graph, and finite differences",
                  f"worst error {off:.0e}", "below 1e-9", off < 1e-9),
            Claim("T8", "products along the paths: dL/dmu and dL/dlogvar of one draw, and finite differences",
                  f"{d_mu:.4f}, {d_v:.4f}; worst error {max(d_mu_off, d_v_off):.0e}", "below 1e-9",
                  max(d_mu_off, d_v_off) < 1e-9)
            ], computation_graph(nodes, edges, "One draw: local derivatives on the arrows, x = 1.2", 7.2, 5.2)


def estimates(n_latent, n, rng):
    """n single-draw estimates of dL/dmu_1 of each kind: the docstring's case, by the package's estimators."""
    head, eps = np.zeros((n, 2 * n_latent)), rng.standard_normal((n, n_latent))
    nll, d_nll_dz = 0.5 * np.square(eps - 1).sum(axis=1), eps - 1
    kinds = {PATH: "analytic", SCORE: "score_function", CENTERED: ScoreFunction("moving_average")}
    return {kind: head_gradient(estimator, head, eps, nll, d_nll_dz, state={"average_loss": float(n_latent)})[:, 0]
            for kind, estimator in kinds.items()}


def in_a_vae(settings):
    """Total variance of the encoder's gradient over the noise, score function over pathwise, on digits."""
    X = load_data("digits").train
    vae = VAE(64, n_latent=4, hidden=(32,), seed=settings.seed)
    vae.fit(X, epochs=5, seed=settings.seed)
    rng, total = np.random.default_rng(settings.seed), {}
    noise = rng.standard_normal((100 if settings.quick else 500, 64, 4))
    for estimator in ("analytic", "score_function"):
        model = VAE(64, n_latent=4, hidden=(32,), estimator=estimator)
        model.parameters.flat[:] = vae.parameters.flat
        gradients = [np.concatenate([array.ravel() for layer in model.gradient(X[:64], eps)[1].encoder
                                     for array in layer])
                     for eps in noise]
        total[estimator] = np.var(gradients, axis=0, ddof=1, dtype=float).sum()
    return total["score_function"] / total["analytic"]


def run(settings):
    claims, graph = one_draw()
    rng, n = np.random.default_rng(settings.seed), 20_000 if settings.quick else 60_000
    sizes = np.array([1.0, 2, 4, 8, 16, 32, 64, 128])
    drawn = {int(size): estimates(int(size), n, rng) for size in sizes}
    variance = {kind: np.array([values[kind].var(ddof=1) for values in drawn.values()]) for kind in EXACT}
    exact = {kind: f(sizes) for kind, f in EXACT.items()}
    worst = max(abs(values[kind].mean() + 1) / (values[kind].std(ddof=1) / n ** 0.5) for values in drawn.values()
                for kind in EXACT)
    off = max(np.abs(variance[kind] / exact[kind] - 1).max() for kind in EXACT)
    ratio, in_vae = variance[SCORE] / variance[PATH], in_a_vae(settings)
    claims += [
        Claim("T8", f"all three are unbiased: worst mean of {n} draws, from the exact gradient -1, over Z = 1 to 128",
              f"{worst:.1f} standard errors", "below 4.5 (24 means)", worst < 4.5),
        Claim("T8", "their variances are the closed forms above", f"worst ratio off by {100 * off:.0f} %",
              "below 20 %", off < 0.2),
        Claim("T8", "variance of the score function over pathwise: the draws it needs for the same accuracy",
              f"{ratio[0]:.1f} at Z = 1, {ratio[-1]:,.0f} at Z = 128", "grows, above 10,000",
              ratio[-1] > 1e4 and bool((np.diff(ratio) > 0).all())),
        Claim("T8", "the same in a VAE on digits, all of the encoder's gradient together", f"{in_vae:,.0f} times",
              "above 100 times", in_vae > 100)]
    return Result(claims, {
        "graph": graph,
        "variance": variance_against(sizes, variance, exact, "Variance of the gradient from one draw",
                                     ("latent dimensions Z", "variance of dL/dμ$_1$ (nats²)")),
        "histograms": estimate_histograms(drawn[16], -1.0, "",
                                          "estimate of dL/dμ$_1$ from one draw, Z = 16 (dashed: exact)")})


if __name__ == "__main__":
    main(run)
