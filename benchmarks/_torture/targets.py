"""What is called with wrong arguments: public functions and classes, each with small arguments that fit."""
from functools import partial

import numpy as np

from scratchvae import Autoencoder, Dataset, evaluate, load_data, schedules, testing, VAE
from scratchvae.analysis import attribute_vectors as attributes
from scratchvae.analysis import elbo_decomposition as ledger
from scratchvae.analysis import latent
from scratchvae.analysis.estimator_comparison import measure_estimators
from scratchvae.analysis.evaluation import iwae_bounds
from scratchvae.analysis.rate_distortion import check_betas, rate_distortion
from scratchvae.data import faces
from scratchvae.data.download import fetch
from scratchvae.estimators import head_gradient, make_estimator
from scratchvae.gradcheck import (as_vjp, assert_ok, check_layer, check_model, complex_step, format_checks, from_vjp,
                                  numerical_gradient)
from scratchvae.layers import Dense
from scratchvae.likelihoods import make_likelihood
from scratchvae.oracles import LinearGaussian, ppca, Quadrature, sigma_points
from scratchvae.parameters import Affine, Parameters
from scratchvae.probability import divergences, mixture, monte_carlo
from scratchvae.probability.distributions import DiagonalGaussian, Discrete, FullGaussian, Grid, require_same_kind
from scratchvae.probability.joint_distribution import joint_view, joint_view_on_grid
from scratchvae.probability.projections import information_projection, moment_projection

SMALL = dict(n_visible=6, n_latent=2, hidden=(4,), activation="relu", likelihood="bernoulli", dtype="float64", seed=0,
             sigma=1.0)
RNG = np.random.default_rng(0)
X, EPS, Z = RNG.random((3, 6)), RNG.standard_normal((3, 2)), RNG.standard_normal((3, 2))
AXIS = np.linspace(-1.0, 1.0, 5)
PAIRS = {kind.__name__: (make(1), make(2)) for kind, make in (
    (Discrete, lambda k: Discrete([0.2 * k, 1 - 0.2 * k])), (Grid, lambda k: Grid(np.full(5, 0.5), AXIS)),
    (DiagonalGaussian, lambda k: DiagonalGaussian([0.0, k], [0.0, 0.5])),
    (FullGaussian, lambda k: FullGaussian([0.0, k], np.eye(2))))}


def targets(folder):
    """Yield (name, function, its arguments by name) of everything that is tried; files go into the folder."""
    yield from models(folder)
    for room in (distances, figures, latents, worlds, labs, checks):
        yield from room()


def models(folder):
    """VAE, Autoencoder, what they do, and what measures them."""
    vae = VAE(**SMALL)
    vae.save(folder / "model.npz")
    yield "VAE", VAE, {**SMALL, "beta": 1.0, "estimator": "analytic", "n_samples": 1, "n_conditions": 0}
    yield "Autoencoder", Autoencoder, SMALL
    training = dict(X=X, y=None, epochs=1, batch_size=1, learning_rate=1e-3, validation=X, seed=0, optimizer="adam",
                    binarize="none", output_bias="data", on_nonfinite="stop", beta=None)
    yield "fit", lambda **chosen: VAE(**SMALL).fit(**chosen), training
    yield "partial_fit", lambda **chosen: VAE(**SMALL).fit(X, batch_size=1).partial_fit(**chosen), training
    for method in ("encode", "transform", "reconstruct", "score"):
        yield method, getattr(vae, method), dict(X=X)
    yield "decode", vae.decode, dict(z=Z)
    yield "inverse_transform", vae.inverse_transform, dict(z=Z)
    yield "sample", vae.sample, dict(n=3, seed=0)
    labeled = VAE(**SMALL, n_conditions=2)
    yield "sample of a label", labeled.sample, dict(n=3, seed=0, y=1)
    yield "join", lambda X, y: labeled.encode(labeled.join(X, y)), dict(X=X, y=[0, 1, 1])
    theirs = vae.to_state_dict()
    yield "from_state_dict", VAE.from_state_dict, dict(mapping=theirs, order=None)
    yield ("an array of from_state_dict", lambda weight: VAE.from_state_dict({**theirs, "encoder.mu.weight": weight}),
           dict(weight=theirs["encoder.mu.weight"]))
    yield "to_state_dict", vae.to_state_dict, dict(order=None)
    yield "objective", vae.objective, dict(X=X, eps=EPS)
    yield "gradient", vae.gradient, dict(X=X, eps=EPS)
    yield "surrogate", vae.surrogate, dict(X=X, eps=EPS)
    yield "save", lambda path: vae.save(path), dict(path=str(folder / "saved.npz"))
    yield "VAE.load", VAE.load, dict(path=folder / "model.npz")
    yield "set_params", VAE(**SMALL).set_params, {name: SMALL[name] for name in ("n_latent", "hidden", "seed", "dtype")}
    yield "load_data", load_data, dict(source="digits", image_shape=None, transpose=None)
    yield "fetch", fetch, dict(name="mnist", mirrors=["http://127.0.0.1:9/"], timeout=0.1)
    held_out = dict(vae=vae, X=X.round(), seed=0, binarize="none")
    yield "evaluate", evaluate, dict(**held_out, importance_samples=3, proposal="encoder")
    yield "iwae_bounds", iwae_bounds, dict(**held_out, importance_samples=(1, 2))
    yield "ledger", ledger.ledger, dict(**held_out, importance_samples=3, steps=2)
    yield "optimize_posteriors", ledger.optimize_posteriors, dict(**held_out, steps=2)
    yield "effective_sigma", ledger.effective_sigma, dict(weight=1.0, reduction="mean", n_visible=4)
    yield "mutual_information", ledger.mutual_information, dict(mu=Z, logvar=EPS, seed=0)
    yield "make_likelihood", make_likelihood, dict(likelihood="gaussian", sigma=1.0)
    yield "Dense", Dense, dict(n_in=6, n_out=4, activation="relu")
    layout = vae.parameters.layout
    yield "Parameters", Parameters, dict(layout=layout, flat=np.zeros(layout.size))


def distances():
    """Distributions, divergences and the joint view."""
    for name, (p, q) in PAIRS.items():
        yield f"entropy of {name}", lambda p: divergences.entropy(p), dict(p=p)
        yield f"cross_entropy of {name}", lambda p, q: divergences.cross_entropy(p, q), dict(p=p, q=q)
        yield f"kl of {name}", lambda p, q: divergences.kl(p, q), dict(p=p, q=q)
        yield f"require_same_kind of {name}", require_same_kind, dict(p=p, q=q)
    for name in ("Discrete", "Grid"):
        yield f"jensen_shannon of {name}", divergences.jensen_shannon, dict(zip("pq", PAIRS[name]))
    yield "expectation", divergences.expectation, dict(p=PAIRS["Discrete"][0], values=[1.0, 2.0])
    yield "Discrete", Discrete, dict(p=[0.5, 0.5])
    yield "Discrete.from_log", Discrete.from_log, dict(log_p=np.log([0.5, 0.5]))
    yield "Grid", lambda density, axis: Grid(density, axis), dict(density=np.full(5, 0.5), axis=AXIS)
    yield ("Grid.from_log", lambda log_density, axis: Grid.from_log(log_density, axis),
           dict(log_density=np.log(np.full(5, 0.5)), axis=AXIS))
    yield "DiagonalGaussian", DiagonalGaussian, dict(mu=Z, logvar=EPS)
    yield "FullGaussian", FullGaussian, dict(mean=Z[0], covariance=np.eye(2))
    yield "DiagonalGaussian.log_density, a batch", DiagonalGaussian(Z, EPS).log_density, dict(x=Z)
    for name in ("DiagonalGaussian", "FullGaussian"):
        p = PAIRS[name][0]
        yield f"{name}.log_density", p.log_density, dict(x=Z)
        yield f"{name}.sample", p.sample, dict(n=3, rng=np.random.default_rng(0))
    log_p = -np.ones(3)
    yield "mean_estimate", monte_carlo.mean_estimate, dict(values=[1.0, 2.0])
    yield "kl_from_samples", monte_carlo.kl_from_samples, dict(log_p=log_p, log_q=log_p, estimator="plain")
    yield ("jensen_shannon_from_samples", monte_carlo.jensen_shannon_from_samples,
           dict(log_p=log_p, log_q=log_p, log_p_at_q=log_p, log_q_at_q=log_p))
    wide = np.linspace(-6.0, 6.0, 25)
    p = Grid.from_log(DiagonalGaussian([0.5], [0.0]).log_density(wide[:, None]), wide)
    yield "moment_projection", moment_projection, dict(p=p)
    yield "information_projection", information_projection, dict(p=p, start=DiagonalGaussian([0.0], [0.0]))
    yield "joint_view", joint_view, dict(p_data=[0.5, 0.5], q_z_given_x=[[0.9, 0.1], [0.2, 0.8]], p_z=[0.5, 0.5],
                                         p_x_given_z=[[0.7, 0.3], [0.4, 0.6]])
    half = np.log(np.full(5, 0.5))
    yield "joint_view_on_grid", joint_view_on_grid, dict(x=AXIS, z=AXIS, log_p_data=half, log_q_z_given_x=[half] * 5,
                                                         log_p_z=half, log_p_x_given_z=[half] * 5)


def figures():
    """Faces."""
    drawn = faces.make_faces(1)
    yield "make_faces", faces.make_faces, dict(n=1, seed=0, correlation={("eye_size", "mouth_curve"): 0.8})
    yield "render", faces.render, dict(factors=drawn.factors)
    yield ("a factor of render", lambda hair: faces.render({**drawn.factors, "hair": hair}),
           dict(hair=drawn.factors["hair"]))
    yield "is_large", faces.is_large, dict(factor=[1.0, 2.0])
    yield "measure", faces.measure, dict(images=drawn.images, start=drawn.factors)


def latents():
    """Walks, the aggregate posterior, mixtures, attribute vectors, schedules."""
    yield "interpolate", latent.interpolate, dict(a=Z[0], b=Z[1], n=3, path="spherical")
    yield "traverse", latent.traverse, dict(base=Z[0], dimensions=[0, 1], values=[-1.0, 1.0])
    aggregate = latent.AggregatePosterior(Z, EPS)
    yield "AggregatePosterior", latent.AggregatePosterior, dict(mu=Z, logvar=EPS)
    yield "AggregatePosterior.log_density", aggregate.log_density, dict(z=Z)
    yield "AggregatePosterior.sample", aggregate.sample, dict(n=3, seed=0)
    yield "AggregatePosterior.kl_from_prior", aggregate.kl_from_prior, dict(n=3, seed=0)
    parts = [FullGaussian([m, 0.0], np.eye(2)) for m in (-3.0, 3.0)]
    two = mixture.GaussianMixture([0.5, 0.5], parts)
    yield "GaussianMixture", mixture.GaussianMixture, dict(weights=[0.5, 0.5], components=parts)
    for method in ("log_joint", "log_density"):
        yield f"GaussianMixture.{method}", getattr(two, method), dict(z=Z)
    yield "GaussianMixture.sample", two.sample, dict(n=3, seed=0)
    yield "fit_mixture", mixture.fit_mixture, dict(z=Z, n_components=2, seed=0, floor=1e-6, tolerance=1e-4,
                                                   max_steps=5)
    codes, labels = Z, [0, 1, 1]
    yield "mean_difference", attributes.mean_difference, dict(codes=codes, labels=labels)
    yield "balanced_difference", attributes.balanced_difference, dict(codes=codes, labels=labels, others=codes[:, 0])
    yield "logistic_direction", attributes.logistic_direction, dict(codes=codes, labels=labels, ridge=1.0)
    yield "logistic_regression", attributes.logistic_regression, dict(x=codes, labels=labels, ridge=1.0)
    given = {"Constant": dict(beta=1.0), "Linear": dict(beta=1.0, steps=10, start=0.0),
             "Cyclical": dict(beta=1.0, steps=10, ramp=0.5), "FreeBits": dict(nats=0.25, beta=1.0),
             "Target": dict(nats=3.0, beta=1.0), "Capacity": dict(nats=20.0, steps=10, beta=1.0)}
    for name, arguments in given.items():
        made = getattr(schedules, name)(**arguments)
        yield name, getattr(schedules, name), arguments
        if "steps" in arguments:
            yield f"{name}.at", made.at, dict(step=3)
    yield "as_weight", schedules.as_weight, dict(beta=1.0)
    yield "check_beta", schedules.check_beta, dict(beta=1.0)
    yield "make_schedule", schedules.make_schedule, dict(name="linear", beta=1.0, steps=10, nats=0.25)


def worlds():
    """The oracles."""
    rng = np.random.default_rng(0)
    affine = dict(W=rng.standard_normal((2, 6)), b=np.zeros(6), sigma=0.5)
    world = LinearGaussian(**affine).with_best_encoder()
    yield "LinearGaussian", LinearGaussian, dict(**affine, encoder=world.encoder, beta=1.0)
    yield "LinearGaussian.of", LinearGaussian.of, dict(vae=world.to_vae())
    yield "LinearGaussian.to_vae", world.to_vae, dict(estimator="analytic", n_samples=1, seed=0, dtype="float64")
    yield "LinearGaussian.sample", world.sample, dict(n=3, seed=0)
    for method in ("posterior", "log_p", "q", "best_diagonal", "expected_gradient"):
        yield f"LinearGaussian.{method}", getattr(world, method), dict(X=X)
    for method in ("elbo", "gap", "expected_objective", "expected_head_gradient"):
        yield f"LinearGaussian.{method}", getattr(world, method), dict(X=X, q=world.q(X))
    yield "LinearGaussian.gap of the posterior", world.gap, dict(X=X, q=world.posterior(X))
    yield "ppca", ppca, dict(X=rng.standard_normal((3, 6)), n_latent=2, sigma=0.5)
    yield "ppca, sigma fitted", ppca, dict(X=rng.standard_normal((3, 5)), n_latent=1)
    yield "sigma_points", sigma_points, dict(n_latent=3)
    vae = VAE(**{**SMALL, "n_latent": 1})
    exact = Quadrature(vae, 20)
    yield "Quadrature", Quadrature, dict(vae=vae, nodes=20)
    for method in ("elbo", "log_p", "gap", "expected_objective", "expected_gradient"):
        yield f"Quadrature.{method}", getattr(exact, method), dict(X=X[:1])
    yield "Quadrature.iwae", exact.iwae, dict(X=X[:1], n_samples=2)
    yield "Quadrature.posterior", exact.posterior, dict(x=X[0])


def labs():
    """The labs, and the estimators' way in."""
    data = Dataset(np.tile(X, (3, 1)), X, None, None, "small", (2, 3))
    yield "measure_estimators", measure_estimators, dict(draws=128, epochs=1, seed=0)
    yield "rate_distortion", rate_distortion, dict(
        data=data, betas=(0.5, 1.0), epochs=1, hidden=(3,), n_latent=2, importance_samples=2, seed=0,
        learning_rate=1e-3, after_model=None)
    yield "check_betas", check_betas, dict(betas=(0.5, 1.0))
    yield "head_gradient", head_gradient, dict(
        estimator="score_function", head=np.zeros((2, 4)), eps=np.ones((4, 2)), nll=np.ones(4),
        d_nll_dz=np.ones((4, 2)), beta=1.0, state=None)
    yield "make_estimator", make_estimator, dict(estimator="score_function", baseline="none")


def checks():
    """The gradient checker, and what tests of layers are made of."""
    vae, rng = VAE(**SMALL), np.random.default_rng(0)
    model = dict(model=vae, X=X, eps=EPS, max_entries=4, seed=0)
    # What parameters fit is the layer's own affair: a wrong p ends in the layer's own error.
    p = Affine(rng.standard_normal((6, 4)), rng.standard_normal(4))
    layer = dict(layer=Dense(6, 4, "relu"), x=X, d_y=rng.standard_normal((3, 4)), max_entries=4, seed=0)
    yield "check_model", check_model, model
    yield "assert_model_gradients", testing.assert_model_gradients, model
    yield "check_layer", partial(check_layer, p=p), layer
    yield "assert_layer_gradients", partial(testing.assert_layer_gradients, p=p), layer
    x = np.array([0.5, 2.0])
    yield "numerical_gradient", numerical_gradient, dict(f=lambda: float(np.sum(x**3)), x=x, max_entries=2, seed=0,
                                                         noise=1e-16, terms=lambda: float(np.sum(np.abs(x**3))))
    yield "complex_step", complex_step, dict(f=lambda z: np.sum(z**3) + 0j, x=x)
    yield "as_vjp", lambda layer: as_vjp(layer, p), dict(layer=Dense(6, 4))
    yield "the function of as_vjp", lambda x: as_vjp(Dense(6, 4), p)(x), dict(x=X)
    yield "the backprop of as_vjp", lambda d_y: as_vjp(Dense(6, 4), p)(X)[1](d_y), dict(d_y=layer["d_y"])
    yield "from_vjp", from_vjp, dict(apply=as_vjp)
    verdicts = check_layer(layer["layer"], p, X, layer["d_y"])
    yield "assert_ok", assert_ok, dict(checks=verdicts)
    yield "format_checks", format_checks, dict(checks=verdicts)
    yield "sides", testing.sides, dict(max_side=3)
    yield "scales", testing.scales, dict(low=0.1, high=2.0)
    yield "layer_problems", partial(testing.layer_problems, layer["layer"], p), dict(n_in=6, n_out=4, max_side=3)
    for name in ("extreme_logits", "extreme_logvars"):
        yield name, getattr(testing, name), dict(limit=3.0, max_side=3)
