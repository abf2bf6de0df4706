"""What must hold of every layer, model and optimizer whatever the numbers are, without a single difference."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae.gradcheck import as_vjp, complex_step
from scratchvae.kernels.gaussian import gaussian_backward, gaussian_forward
from scratchvae.kernels.likelihoods import bernoulli_nll_backward
from scratchvae.layers import MLP
from scratchvae.optimizers import Adam, SGD
from scratchvae.parameters import Affine
from scratchvae.testing import (dense_problems, extreme_logits, extreme_logvars, generators, mlp_problems, scales,
                                vae_problems)

# The identities are exact in real numbers; float64 sums of at most 1e3 terms of size 1e2 leave 1e-12 of them.
EXACT = dict(rtol=1e-11, atol=1e-12)
ROUNDING = 1e-12                        # of the largest a layer's output or gradient can be: 1e3 roundings and more

layers = dense_problems() | mlp_problems()


def run(problem, x=None, d_y=None, p=None):
    """Return {name: array} of y, d_x and every parameter's gradient; y first."""
    y, backprop = as_vjp(problem.layer, problem.p if p is None else p)(problem.x if x is None else x)
    d_x, d_p = backprop(problem.d_y if d_y is None else d_y)
    affines = d_p if isinstance(problem.layer, MLP) else (d_p,)
    return {"y": y, "x": d_x, **{f"{i}.{name}": array for i, affine in enumerate(affines)
                                 for name, array in affine._asdict().items()}}


def assert_same(problem, found, expected):
    """Assert that arrays agree to the rounding of what can have canceled: no activation's slope is above 1."""
    affines = problem.p if isinstance(problem.layer, MLP) else (problem.p,)
    through = math.prod(1 + np.linalg.norm(affine.W) for affine in affines)
    size = through * (1 + np.linalg.norm(problem.x) + sum(np.linalg.norm(affine.b) for affine in affines))
    assert found.keys() == expected.keys()
    for name in found:
        largest = size * (1 if name == "y" else 1 + np.linalg.norm(problem.d_y))
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=ROUNDING * largest, err_msg=name)


# Layers ---------------------------------------------------------------------------------------------------------------


@given(layers, generators(), st.floats(-3, 3), st.floats(-3, 3))
def test_a_backward_is_linear_in_its_cotangent(problem, rng, a, b):
    other = rng.standard_normal(problem.d_y.shape)
    both, one, two = (run(problem, d_y=d_y) for d_y in (a * problem.d_y + b * other, problem.d_y, other))
    mixed = {name: a * one[name] + b * two[name] for name in one if name != "y"}
    assert_same(problem, both, {"y": one["y"], **mixed})


@given(layers)
def test_a_zero_cotangent_gives_zero_gradients(problem):
    found = run(problem, d_y=np.zeros_like(problem.d_y))
    assert not any(array.any() for name, array in found.items() if name != "y")


@given(layers)
def test_running_a_layer_twice_gives_the_same_bits(problem):
    first, second = run(problem), run(problem)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


@given(layers, generators())
def test_permuted_rows_permute_y_and_d_x_and_leave_the_parameters_gradients(problem, rng):
    order, expected = rng.permutation(len(problem.x)), run(problem)
    expected |= {"y": expected["y"][order], "x": expected["x"][order]}
    assert_same(problem, run(problem, x=problem.x[order], d_y=problem.d_y[order]), expected)


@given(layers, st.integers(1, 4))
def test_a_batch_is_its_parts_one_after_the_other_and_their_gradients_add(problem, cut):
    parts = [run(problem, x=problem.x[rows], d_y=problem.d_y[rows])
             for rows in (slice(None, cut), slice(cut, None)) if len(problem.x[rows])]
    joined = {name: np.concatenate([part[name] for part in parts]) if name in ("y", "x") else
              sum(part[name] for part in parts) for name in parts[0]}
    assert_same(problem, run(problem), joined)


@given(mlp_problems(), generators())
def test_hidden_units_may_stand_in_any_order(problem, rng):
    depth = len(problem.p)
    orders = [np.arange(len(problem.p[0].W)), *(rng.permutation(len(affine.b)) for affine in problem.p[:-1]),
              np.arange(len(problem.p[-1].b))]

    def reordered(affines):
        return tuple(Affine(np.ascontiguousarray(affine.W[rows][:, columns]), affine.b[columns])
                     for affine, rows, columns in zip(affines, orders, orders[1:]))

    expected = run(problem)
    moved = reordered([Affine(expected[f"{i}.W"], expected[f"{i}.b"]) for i in range(depth)])
    expected |= {f"{i}.{name}": array for i in range(depth) for name, array in moved[i]._asdict().items()}
    assert_same(problem, run(problem, p=reordered(problem.p)), expected)


# The sampler and the likelihood, at the ends of their range -----------------------------------------------------------


@given(extreme_logvars(), generators(), st.integers(1, 3), st.sampled_from([0.0, 0.3, 1.0]))
def test_any_logvar_gives_a_finite_sample_and_the_gradient_of_the_formula(logvar, rng, n_samples, d_kl):
    batch, n_latent = logvar.shape
    eps, d_z = rng.standard_normal((2, batch * n_samples, n_latent))
    head = np.concatenate([rng.standard_normal(logvar.shape), logvar], axis=1)
    z, kl, d_head = np.empty_like(eps), np.empty(batch), np.empty_like(head)
    gaussian_forward(head, eps, z, kl)
    gaussian_backward(head, eps, d_z, np.full(n_latent, d_kl), d_head)
    assert np.isfinite(z).all() and np.isfinite(kl).all() and (kl >= 0).all()
    mu, sizes = head[:, :n_latent], (head[:, :n_latent]**2 + np.exp(logvar) + 1 + np.abs(logvar)).sum(axis=1)
    error = np.abs(kl - 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1))
    assert np.all(error <= 1e-14 * sizes)                            # some 40 roundings of the terms

    def objective(both):                                             # E2 and E4, as elbo's docstring has them
        mu, v = (half.repeat(n_samples, axis=0) for half in (both[:, :n_latent], both[:, n_latent:]))
        divergence = 0.5 * np.sum(mu**2 + np.exp(v) - 1 - v) / n_samples
        return np.sum(d_z * (mu + np.exp(v / 2) * eps)) + d_kl * divergence

    largest = (np.exp(logvar / 2) * np.abs(d_z * eps).reshape(batch, n_samples, n_latent).sum(axis=1)
               + d_kl * np.abs(np.exp(logvar) - 1) + np.abs(d_z).sum() + 1)
    error = np.abs(d_head - complex_step(objective, head))
    assert np.all(error <= 1e-13 * np.tile(largest, 2))              # a few hundred roundings of each entry's terms


@given(extreme_logits(), generators())
def test_any_logit_gives_the_formula_and_black_and_white_are_alike(logits, rng):
    """nll(l, x) = nll(-l, 1 - x); no logit gives a negative or infinite one, nor a slope beyond 1."""
    x = rng.choice([0.0, 1.0, 0.25], logits.shape)                   # 1 - x is exact
    (nll, mirrored), (d_logits, d_mirrored) = np.empty((2, len(x))), np.empty((2, *x.shape))
    bernoulli_nll_backward(logits, x, np.ones(len(x)), nll, d_logits)
    bernoulli_nll_backward(-logits, 1 - x, np.ones(len(x)), mirrored, d_mirrored)
    assert np.isfinite(nll).all() and (nll >= 0).all() and (np.abs(d_logits) <= 1).all()
    # the twin's x l - max(l, 0) and sigmoid round at the size of l and of 1
    rounding = dict(rtol=1e-14, atol=1e-15 * np.abs(logits).sum())
    np.testing.assert_allclose(nll, (np.logaddexp(0, logits) - x * logits).sum(axis=1), **rounding)
    np.testing.assert_allclose(mirrored, nll, **rounding)
    np.testing.assert_allclose(d_mirrored, -d_logits, rtol=0, atol=1e-15)


# Models ---------------------------------------------------------------------------------------------------------------


def with_latents(model, order, signs):
    """Return what must be done to any Parameters of the model if latent order[j], times signs[j], is to be latent j."""
    n = model.n_latent

    def change(parameters):
        changed = parameters.copy()
        head, first, columns = changed.encoder.head, changed.decoder[0], [*order, *(n + order)]
        for array in (head.W, head.b):
            array[...] = array[..., columns] * np.concatenate([signs, np.ones(n)])       # mu's sign, not logvar's
        first.W[:] = first.W[order] * signs[:, None]
        return changed

    return change


@given(vae_problems(), generators())
def test_latents_may_change_their_order_and_signs_everywhere_at_once(problem, rng):
    model, X, eps = problem
    order, signs = rng.permutation(model.n_latent), rng.choice([-1.0, 1.0], model.n_latent)
    change = with_latents(model, order, signs)
    objective, gradient = model.gradient(X, eps)
    model.parameters.flat[:] = change(model.parameters).flat
    changed_objective, changed_gradient = model.gradient(X, eps[..., order] * signs)
    np.testing.assert_allclose(changed_objective, objective, **EXACT)
    np.testing.assert_allclose(changed_gradient.flat, change(gradient).flat, **EXACT)


@given(vae_problems(n_samples=1), st.integers(2, 4))
def test_the_same_noise_several_times_is_one_sample(problem, n_samples):
    model, X, eps = problem
    objective, gradient = model.gradient(X, eps)
    several = type(model)(**{**model.get_params(), "n_samples": n_samples})
    several.parameters.flat[:] = model.parameters.flat
    repeated_objective, repeated_gradient = several.gradient(X, np.repeat(eps[:, None], n_samples, axis=1))
    np.testing.assert_allclose(repeated_objective, objective, **EXACT)
    np.testing.assert_allclose(repeated_gradient.flat, gradient.flat, **EXACT)


# Optimizers, number by number -----------------------------------------------------------------------------------------


def scalar_adam(theta, gradients, rate, beta1, beta2, epsilon):
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        theta -= rate * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + epsilon)
    return theta


def scalar_sgd(theta, gradients, rate, momentum):
    velocity = 0.0
    for g in gradients:
        velocity = momentum * velocity + g
        theta -= rate * velocity
    return theta


rates, memories = scales(1e-5, 1.0), st.sampled_from([0.0, 0.5, 0.9, 0.99])


@pytest.mark.parametrize("optimizer, reference, settings", [
    (Adam, scalar_adam, st.tuples(rates, memories, st.sampled_from([0.5, 0.99, 0.999]), scales(1e-10, 1e-2))),
    (SGD, scalar_sgd, st.tuples(rates, memories))], ids=["adam", "sgd"])
@given(st.data())
def test_an_optimizer_does_what_its_formula_does_to_each_number(optimizer, reference, settings, data):
    """O1, O2."""
    rng, steps, chosen = data.draw(generators()), data.draw(st.integers(1, 8)), data.draw(settings)
    theta = rng.standard_normal(5)
    gradients = rng.standard_normal((steps, 5)) * 10.0 ** rng.integers(-6, 3, (steps, 5))
    expected = [reference(start, column, *chosen) for start, column in zip(theta.tolist(), gradients.T.tolist())]
    made = optimizer(5, "float64", *chosen)
    for gradient in gradients:
        made.update(theta, gradient)
    # 1 - beta2^t and theta's way there cancel by up to 1e3 (beta2 = 0.999, a step of 1e3): 1e-12 of it is left
    np.testing.assert_allclose(theta, expected, rtol=1e-11, atol=1e-12 * (1 + np.abs(gradients).sum()))
