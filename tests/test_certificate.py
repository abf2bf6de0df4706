"""The exact gradient check: our twins, layers and models pass it, and faults of every formula are found by it."""
import ast
import inspect
import math
import sys
import textwrap

import numpy as np
import pytest

from scratchvae import Autoencoder, VAE
from scratchvae.bugs import BUGS, inject, random_case
from scratchvae.errors import ConfigurationError, ShapeError
from scratchvae.estimators import ScoreFunction
from scratchvae.estimators.named import EVERY
from scratchvae.gradcheck import certify, certify_layer, certify_model
from scratchvae.gradcheck.certificate.arrays import exact_numbers, NUMPY
from scratchvae.gradcheck.certificate.exact import Exact, literal, PRIMES, start_trial
from scratchvae.kernels import continuous_bernoulli, dense, gaussian, learned_sigma, likelihoods
from scratchvae.kernels.twins import BACKEND
from scratchvae.layers import ACTIVATIONS, Dense, MLP
from scratchvae.likelihoods import LIKELIHOODS
from scratchvae.parameters import Affine

PROMISED = 61                                                     # bits: false pass below 2^-61


# Cases: f, vjp and arrays(rng), as certify takes them


def pair(forward, backward, shapes, **constants):
    """Return f and vjp of two twins, which write into buffers and call their arguments x, y, d_x, d_y."""
    names = inspect.signature(backward).parameters

    def f(**arrays):
        out = {name: NUMPY.empty(shape) for name, shape in shapes(**arrays).items()}
        forward(**arrays, **out, **constants)
        return out

    def vjp(cotangents, **arrays):
        given = {**arrays, **f(**arrays), **constants, **{f"d_{name}": c for name, c in cotangents.items()},
                 **{f"d_{name}": NUMPY.empty(a.shape) for name, a in arrays.items()}}
        if "d_kl" in given:
            given["d_kl"] = given["d_kl"][:, None]                # one number a latent for the twin, here one a row
        backward(**{name: given[name] for name in names})
        return {name: given[f"d_{name}"] for name in arrays if f"d_{name}" in names}

    return f, vjp


def dense_case(activation="tanh", batch=4, n_in=4, n_out=4, backward=dense.dense_backward_ref):
    sizes = {"x": (batch, n_in), "W": (n_in, n_out), "b": (n_out,)}
    return (*pair(dense.dense_forward_ref, backward, lambda x, W, b: {"y": (len(x), len(b))},
                  activation=ACTIVATIONS[activation]),
            lambda rng: {name: rng.standard_normal(size) for name, size in sizes.items()})


def gaussian_case(batch=3, n_latent=2, n_samples=2, backward=gaussian.gaussian_backward_ref):
    return (*pair(gaussian.gaussian_forward_ref, backward, lambda head, eps: {"z": eps.shape, "kl": (len(head),)}),
            lambda rng: {"head": rng.standard_normal((batch, 2 * n_latent)),
                         "eps": rng.standard_normal((batch * n_samples, n_latent))})


PIXELS = {"bernoulli_nll": (likelihoods, {}), "gaussian_nll": (likelihoods, {"sigma": 0.7123}),
          "continuous_bernoulli_nll": (continuous_bernoulli, {}), "diagonal_nll": (learned_sigma, {})}


def pixels_case(name, batch=3, n_visible=3, n_samples=2, backward=None):
    module, constants = PIXELS[name]
    forward = getattr(module, f"{name}_ref")
    first = next(iter(inspect.signature(forward).parameters))     # logits, means, outputs
    columns = n_visible * (2 if first == "outputs" else 1)
    return (*pair(forward, backward or getattr(module, f"{name}_backward_ref"),
                  lambda x, **outputs: {"nll": (len(outputs[first]),)}, **constants),
            lambda rng: {first: 3 * rng.standard_normal((batch * n_samples, columns)),
                         "x": rng.random((batch, n_visible))})


def moved(model, rng):
    """Return the model with other parameters: biases, too."""
    model.parameters.flat[:] += 0.3 * rng.standard_normal(model.parameters.flat.size)
    return model


def certified(model, rng, batch=2, **settings):
    eps = None if model.kind == "autoencoder" else rng.standard_normal((batch, model.n_samples, model.n_latent))
    return certify_model(model, rng.random((batch, model.n_visible)), eps, **settings)


def assert_exact(found):
    assert found.verdict.startswith("exact: ") and found.ok and found.bits > PROMISED, found.verdict


# What is right passes


def test_the_moduli_are_a_chain_of_three_primes():
    def is_prime(n):                                              # Miller and Rabin; n - 1 is twice an odd number
        half = (n - 1) // 2
        assert half % 2
        return all(pow(base, half, n) in (1, n - 1) for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41))

    P, Q, R = PRIMES
    assert P == 2 * Q + 1 and Q == 2 * R + 1 and P.bit_length() == 120
    assert is_prime(P) and is_prime(Q) and pow(2, R - 1, R) == pow(3, R - 1, R) == 1


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_dense_twins_are_exact(activation):
    """D1, D2, D3, D4, D5."""
    assert_exact(certify(*dense_case(activation)))


def test_the_gaussian_twins_are_exact():
    """E2, E4, E6, E7."""
    assert_exact(certify(*gaussian_case()))


@pytest.mark.parametrize("name", PIXELS)
def test_the_twins_of_the_likelihoods_are_exact(name):
    """E4, E5; E8, E9; L1, L2, L3; L6, L7, L8, L9, L10."""
    assert_exact(certify(*pixels_case(name)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_layers_are_exact(activation):
    rng = np.random.default_rng(0)
    layers = MLP.build((4, 3, 2), activation)
    p = tuple(Affine(rng.standard_normal((layer.n_in, layer.n_out)), rng.standard_normal(layer.n_out))
              for layer in layers.layers)
    assert_exact(certify_layer(layers, p, rng.standard_normal((3, 4))))
    assert_exact(certify_layer(Dense(4, 3, activation), p[0], rng.standard_normal((3, 4))))


@pytest.mark.parametrize("estimator", [*(kind() for kind in EVERY.values()), ScoreFunction("leave_one_out")],
                         ids=lambda estimator: "_".join([estimator.name, *vars(estimator).values()]))
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_a_whole_vae_is_exact_with_every_likelihood_and_estimator(likelihood, estimator):
    """STL, score function, DReG: against their surrogates."""
    if likelihood == "gaussian_optimal" and estimator.separate:
        pytest.skip("such an estimator refuses this likelihood")
    rng = np.random.default_rng(0)
    model = VAE(4, 2, hidden=(3,), activation="tanh", likelihood=likelihood, sigma=0.7123, beta=0.37,
                estimator=estimator, n_samples=2, dtype="float64")
    assert_exact(certified(moved(model, rng), rng, trials=1))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_vae_and_an_autoencoder_are_exact_with_every_activation(activation):
    rng = np.random.default_rng(0)
    for make in (VAE, Autoencoder):
        model = make(5, 2, hidden=(4, 3), activation=activation, dtype="float64")
        assert_exact(certified(moved(model, rng), rng, trials=2))


def test_a_model_in_float32_is_certified_and_left_as_it_was():
    rng, model = np.random.default_rng(0), VAE(3, 1, hidden=(2,))
    before = model.parameters.flat.copy()
    assert_exact(certified(moved(model, rng), rng, trials=1))
    assert model.dtype == "float32" and model.parameters.flat.dtype == before.dtype


def test_no_false_alarm_in_two_hundred_random_right_cases():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        one, two, three, four = (int(n) for n in rng.integers(1, 5, 4))
        kind, activation = rng.choice(["dense", "gaussian", "pixels", "vae"]), str(rng.choice(list(ACTIVATIONS)))
        if kind == "vae":
            hidden = [int(n) for n in rng.integers(1, 5, rng.integers(3))]
            model = VAE(one, two, hidden=hidden, activation=activation, n_samples=three, dtype="float64", seed=seed,
                        likelihood=str(rng.choice(list(LIKELIHOODS))), sigma=rng.uniform(0.2, 2),
                        beta=rng.uniform(0, 3))
            found = certified(moved(model, rng), rng, four, trials=1, seed=seed)
        else:
            case = (dense_case(activation, one, two, three) if kind == "dense" else
                    gaussian_case(one, two, three) if kind == "gaussian" else
                    pixels_case(str(rng.choice(list(PIXELS))), one, two, three))
            found = certify(*case, trials=1, seed=seed)
        assert_exact(found)


# What is wrong is found, and named


def test_one_entry_off_by_two_to_the_minus_40_is_named():
    f, right, arrays = dense_case("tanh", 4, 60, 40)

    def vjp(d_y, **given):
        gradient = right(d_y, **given)
        gradient["W"][35, 16] = gradient["W"][35, 16] * (1 + 2.0**-40)
        return gradient

    found = certify(f, vjp, arrays)
    assert found.faults == ("W[35, 16]: exactly 1 + 1/1099511627776 x",)
    assert not found.ok and found.verdict.startswith("wrong: ")


def test_as_many_digits_are_shown_as_it_takes_to_see_a_difference():
    def gelu(x):
        return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))

    def vjp(d_y, x):
        t = np.tanh(0.7978845608 * (x + 0.044715 * x**3))
        return {"x": d_y * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608 * (1 + 0.134 * x**2))}

    for size in (1.0, 0.03):
        found = certify(gelu, vjp, {"x": size * np.random.default_rng(0).standard_normal((2, 3))})
        wrong, exact = found.faults[0].split(": ")[1].split(", exactly ")
        assert wrong != exact and wrong[:5] == exact[:5]


def test_with_several_outputs_it_is_said_along_which_way_an_entry_is_wrong():
    def backward(head, eps, d_z, d_kl, d_head):
        gaussian.gaussian_backward_ref(head, eps, d_z, d_kl, d_head)
        n_latent = eps.shape[1]
        rows = (d_z * eps).reshape(len(head), -1, n_latent)
        d_head[:, n_latent:] += 0.5 * np.exp(0.5 * head[:, n_latent:]) * rows.sum(axis=1)

    [fault] = certify(*gaussian_case(backward=backward)).faults
    assert fault == "head[0, 2] and others: d_z exactly 2 x, d_kl right"


# Faults of the museum that stand in the formula of a forward or of a backward, by what they change.
FORMULAS = [name for name, bug in BUGS.items()
            if bug.diagnosis and {"gradient check", "layer check", "K-sample bound"} & set(bug.detected_by)]
NOT_FORMULAS = {"stale_weights": "right at the first parameters, whose formula is right",
                "gradients_pile_up": "right in a new buffer, whose formula is right",
                "means_reported": "the reported parts of the loss are another loss's; its gradient is right"}


@pytest.mark.skipif(BACKEND == "numba", reason="faults stand in for kernels, and exact numbers run through their twins")
@pytest.mark.parametrize("name", sorted(set(FORMULAS) - set(NOT_FORMULAS)))
def test_a_fault_in_a_formula_is_found(name):
    settings = {"hidden": (3,), "n_samples": 1, **BUGS[name].settings}
    rng, case = np.random.default_rng(1), random_case(0, **settings)
    eps = rng.standard_normal((2, settings["n_samples"], case.model.n_latent))
    with exact_numbers({"scratchvae"}), inject(name):             # the fault is planted in twins, not in kernels
        found = certify_model(case.model, rng.random((2, case.model.n_visible)), eps, trials=1)
    assert found.faults and not found.ok, found.verdict


def mutants(function):
    """Yield (text, function) with one token of the function's source changed."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    body = tree.body[0].body[1:]                                  # what follows the docstring

    def changes(node, parent, field, place):
        def put(new):
            if place is None:
                setattr(parent, field, new)
            else:
                getattr(parent, field)[place] = new

        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
            for new in (ast.BinOp(node.left, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), node.right),
                        node.left, node.right):
                yield put, node, new
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
            for new in (node.left, node.right):
                yield put, node, new
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield put, node, ast.Constant(2 * node.value if node.value else 1)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield put, node, node.operand
        elif isinstance(node, ast.AugAssign):
            yield put, node, ast.Assign([node.target], node.value, lineno=node.lineno)
        elif isinstance(node, ast.Attribute) and node.attr in ("T", "sum"):
            yield put, node, node.value if node.attr == "T" else ast.Attribute(node.value, "mean")
        elif isinstance(node, ast.Compare):
            yield put, node, ast.Compare(node.left, [ast.Lt()], node.comparators)

    def walk(node):
        for field, value in ast.iter_fields(node):
            if field in ("slice", "keywords", "test") or isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                    ("reshape", "range")):
                continue                                          # places, axes, shapes
            for place, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST):
                    yield from changes(child, node, field, place)
                    yield from walk(child)

    for place, statement in enumerate(body, 1):
        if "shape" in ast.unparse(statement) and not isinstance(statement, ast.If):
            continue                                              # names of sizes
        for put, old, new in [*changes(statement, tree.body[0], "body", place), *walk(statement)]:
            put(new)
            text = f"{ast.unparse(old)} -> {ast.unparse(new)}"
            names = dict(function.__globals__)
            exec(compile(ast.fix_missing_locations(ast.parse(ast.unparse(tree))), f"<{text}>", "exec"), names)
            put(old)
            yield text, names[function.__name__]


def with_slope(slope):
    """Return the dense backward with another act'."""
    names = {**vars(dense), "slope_ref": slope}
    exec(inspect.getsource(dense.dense_backward_ref), names)
    return names["dense_backward_ref"]


def is_found(case):
    return bool(certify(*case, trials=1).faults)


MUTANTS = [("dense", 4, lambda backward: [dense_case("tanh", backward=backward)], dense.dense_backward_ref),
           ("slopes", 14, lambda slope: [dense_case(name, backward=with_slope(slope)) for name in ACTIVATIONS],
            dense.slope_ref),
           ("gaussian", 20, lambda backward: [gaussian_case(backward=backward)], gaussian.gaussian_backward_ref),
           *((name, 8, lambda backward, name=name: [pixels_case(name, backward=backward)],
              getattr(module, f"{name}_backward_ref")) for name, (module, _) in PIXELS.items())]


@pytest.mark.parametrize("least, cases, function", [row[1:] for row in MUTANTS], ids=[row[0] for row in MUTANTS])
def test_every_mutant_of_one_token_is_found(least, cases, function):
    found = {text: any(map(is_found, cases(mutant))) for text, mutant in mutants(function)}
    assert len(found) >= least
    assert all(found.values()), [text for text, caught in found.items() if not caught]


# What stands between a formula and a verdict is named


def test_a_constant_that_was_rounded_before_it_is_seen_is_called_that_and_not_wrong():
    beta = 0.123456789
    found = certify(lambda x: beta * x / 3, lambda d, x: {"x": d * (beta * (1 / 3))}, {"x": [1.0, 2.0]})
    assert not found.ok and found.rounded and not found.faults
    assert found.verdict.startswith("not proved: x[0] and others: equal but for rounding: is a constant in the code")


@pytest.mark.parametrize("f, slope, at", [
    (lambda x: np.logaddexp(0, x), lambda x: 1, 25.0), (lambda x: x + np.tanh(x), lambda x: 1, 13.0),
    (lambda x: np.log(x + 1e-12), lambda x: 1 / x, 2.0), (lambda x: x, lambda x: 1 + 1e-11, 2.0),
    (lambda x: x * np.log(x**2), lambda x: 2 * np.log(x) + 2, 2.0)])
def test_what_floats_cannot_tell_from_a_right_gradient_is_not_proved(f, slope, at):
    found = certify(f, lambda d, x: {"x": d * slope(x)}, {"x": [at, at + 1]})
    assert not found.ok and not found.faults and found.verdict.startswith("not proved: ")


def test_the_root_of_a_square_is_its_size():
    x = np.array([0.3, 2.0, -4.0])
    for f in (lambda x: np.sqrt(x**2), lambda x: np.sqrt(x * x), lambda x: np.linalg.norm(x[:, None], axis=1)):
        assert certify(f, lambda d, x: {"x": d * np.sign(x)}, {"x": x}).ok
        assert not certify(f, lambda d, x: {"x": d}, {"x": x}).ok


def test_nothing_is_no_gradient_and_what_cannot_run_is_named():
    with pytest.raises(ConfigurationError, match="empty dict"):
        certify(lambda x: x**2, lambda d, x: {}, {"x": [2.0]})
    with pytest.raises(ConfigurationError, match="test_certificate.py:.*cannot run on exact numbers"):
        certify(lambda x: np.where(np.signbit(x), 0, x), lambda d, x: {"x": d}, {"x": [2.0]})


def test_a_wrong_entry_among_rounded_ones_is_found():
    beta, factors = 0.123456789, np.array([1, 1, 1, 1 + 1e-6])
    found = certify(lambda x: beta * x / 3, lambda d, x: {"x": d * (beta * (1 / 3)) * factors}, {"x": np.ones(4)})
    [fault] = found.faults
    assert fault.startswith("x[3]: ")


def test_simple_fractions_and_powers_of_e_are_what_they_round():
    start_trial("0")
    assert literal(1 / 3).c * 3 == 1 and literal(0.1).c * 10 == 1
    assert literal(math.exp(12)).p == literal(12).exp().p


MASK = np.tril(np.ones((4, 4), bool))


def masked(x, value=-np.inf):
    return np.where(MASK, x, value)


def softmax(x):
    weights = np.exp(masked(x) - masked(x).max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def log_sum_exp(x):
    top = masked(x).max(axis=1)
    return top + np.log(np.exp(masked(x) - top[:, None]).sum(axis=1))


def softmax_vjp(d_y, x):
    y = softmax(x)
    return {"x": y * (d_y - (y * d_y).sum(axis=1, keepdims=True))}


@pytest.mark.parametrize("f, vjp", [
    (softmax, softmax_vjp), (log_sum_exp, lambda d_y, x: {"x": softmax(x) * d_y[:, None]}),
    (lambda x: np.logaddexp.reduce(masked(x), axis=1), lambda d_y, x: {"x": softmax(x) * d_y[:, None]}),
    (lambda x: np.log1p(np.exp(masked(x))), lambda d_y, x: {"x": d_y / (1 + np.exp(-masked(x)))}),
    (lambda x: np.tanh(masked(x, np.inf)), lambda d_y, x: {"x": d_y * (1 - np.tanh(masked(x, np.inf))**2)})])
def test_an_infinite_mask_is_a_limit(f, vjp):
    """exp(-inf) was a random number, and right gradients at masked entries "should be 0"."""
    arrays = {"x": np.random.default_rng(0).standard_normal((4, 4))}
    assert certify(f, vjp, arrays, trials=2).ok
    wrong = certify(f, lambda d_y, x: {"x": vjp(d_y, x)["x"] + (~MASK) * 2**-40}, arrays, trials=2)
    assert wrong.faults and "x[0, 1]" in wrong.verdict


def test_more_roots_than_draws_can_have_are_refused_with_a_way_out():
    def f(x):
        return np.sqrt(1 + x**2)

    def vjp(d_y, x):
        return {"x": d_y * x / np.sqrt(1 + x**2)}

    x = np.arange(1.0, 13)
    with pytest.raises(ConfigurationError, match="Pass fewer rows, or the roots as arrays"):
        certify(f, vjp, {"x": x}, trials=1)
    assert certify(f, vjp, {"x": x[:3]}, trials=1).ok


def test_a_large_float_is_no_infinity():
    """Its float overflows, and the formula does not."""
    f, arrays = lambda x: 1 / (1 + np.exp(x)), {"x": np.array([-1e3, 1e3])}
    assert certify(f, lambda d_y, x: {"x": -d_y * np.exp(x) / (1 + np.exp(x))**2}, arrays, trials=2).ok
    assert not certify(f, lambda d_y, x: {"x": 0 * d_y}, arrays, trials=2).ok


@pytest.mark.parametrize("f, slope", [(lambda x: np.maximum(x, 0), lambda x: x > 0),
                                      (lambda x: np.abs(x), lambda x: np.where(x > 0, 1, -1))])
def test_a_tie_at_a_kink_is_reported_and_not_judged(f, slope):
    found = certify(f, lambda d, x: {"x": d * slope(x)}, {"x": [1.0, 0.0, -2.0]})
    assert not found.ok
    assert found.verdict.startswith("not judged: a comparison of equal numbers in test_certificate.py:")
    assert certify(f, lambda d, x: {"x": d * slope(x)}, {"x": [1.0, 0.5, -2.0]}).ok


ROOTS = {"of a quotient": (lambda a, b: np.sqrt(a / b**2), lambda d, a, b: -d * np.sqrt(a) / b**2),
         "of a product": (lambda a, b: np.sqrt(a * b**2), lambda d, a, b: d * np.sqrt(a)),
         "of an exp": (lambda a, b: np.sqrt(np.exp(a) * b**2), lambda d, a, b: d * np.exp(a / 2)),
         "of a norm": (lambda a, b: np.sqrt((a**2 + 3) / b**2), lambda d, a, b: -d * np.sqrt(a**2 + 3) / b**2),
         "of squares": (lambda a, b: np.sqrt(49 * b * b + 0 * a), lambda d, a, b: 7 * d),
         "of a sum": (lambda a, b: np.sqrt(b * b - 2 * b + 1), lambda d, a, b: -d + 0 * b),
         "a power": (lambda a, b: ((b - 1)**2 + 0)**0.5, lambda d, a, b: -d + 0 * b)}


@pytest.mark.parametrize("name", ROOTS)
def test_a_root_has_the_sign_of_the_float(name):
    """Modulo P a root has two signs, and half of all draws gave the wrong one: a flipped gradient was proved."""
    f, slope = ROOTS[name]
    at = {"a": np.array([1.3]), "b": np.array([0.7])}
    assert_exact(certify(f, lambda d, a, b: {"b": slope(d, a, b)}, at))
    for seed in range(10):
        found = certify(f, lambda d, a, b: {"b": -slope(d, a, b)}, at, trials=1, seed=seed)
        assert found.faults == ("b[0]: exactly -1 x",)


@pytest.mark.parametrize("f, slope, w", [
    (lambda w, x, b: w * np.sqrt((x - b)**2 * x**2), lambda d, w, x, b: -d * w * (2 * x - b), 0.0),
    (lambda w, x, b: w * x + 2.0**-40 * np.sqrt((x - b)**2 * x**2), lambda d, w, x, b: d * (w - 2.0**-40 * (2 * x - b)),
     1.0)])
def test_where_floats_do_not_see_the_sign_of_a_root_the_wrong_one_is_not_proved(f, slope, w):
    """Other residues were drawn until the root's sign was that of the wrong gradient, and floats saw nothing."""
    at = {"w": np.full(2, w), "x": np.array([0.3, 1.2]), "b": np.array([0.9, 2.0])}
    for seed in range(10):
        flipped = certify(f, lambda d, w, x, b: {"x": 2 * d * w - slope(d, w, x, b)}, at, trials=1, seed=seed)
        assert not flipped.ok
        assert not certify(f, lambda d, w, x, b: {"x": slope(d, w, x, b)}, at, trials=1, seed=seed).faults


def norm(x):
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(np.var(x, axis=1, keepdims=True) + 1e-5)


def norm_vjp(d, x):
    y, s = norm(x), np.sqrt(np.var(x, axis=1, keepdims=True) + 1e-5)
    return {"x": (d - d.mean(axis=1, keepdims=True) - y * (d * y).mean(axis=1, keepdims=True)) / s}


def test_roots_whose_sign_does_not_matter_are_proved_however_floats_cancel():
    x = np.random.default_rng(0).uniform(0, 255, (3, 2))                        # of two features d_x is all rounding
    assert_exact(certify(norm, norm_vjp, {"x": x}, trials=3))
    for c in (37, 0.37, 1 - 0.999):                                             # without a root modulo P
        assert_exact(certify(lambda x: np.sqrt(c * x), lambda d, x: {"x": d * np.sqrt(c * x) / (2 * x)}, {"x": x[0]}))


def test_a_right_side_of_0_is_not_refuted_by_the_sign_of_a_root_and_a_factor_is_named_at_0():
    at = {"x": np.array([-1.3]), "y": np.array([0.4])}
    for seed in range(8):
        assert_exact(certify(lambda x, y: (x + y + np.sqrt(x * x + 2 * x * y + y * y)) / 2,
                             lambda d, x, y: {"x": d * (x + y > 0)}, at, trials=1, seed=seed))
    found = certify(lambda b: np.sum(b * b), lambda d, b: {"b": d * b}, {"b": np.zeros(2)})
    assert found.verdict == "wrong: b[0] and others: exactly 1/2 x"


def test_what_differs_by_signs_of_many_roots_is_not_proved():
    at = {"x": np.linspace(1.5, 3, 20)}
    for sign in (1, -1):
        found = certify(lambda x: np.sqrt(x * x - 2 * x + 1), lambda d, x: {"x": sign * d + 0 * x}, at, trials=1)
        assert not found.ok and (sign == -1 or "a root taken of a square" in found.verdict and not found.faults)


@pytest.mark.parametrize("cut", [lambda x: np.array(x, "int64"), lambda x: np.asarray(x, dtype=int),
                                 lambda x: np.ascontiguousarray(x, int), lambda x: np.array(x, bool),
                                 lambda x: x / len(x) * np.sum(x, dtype=int), lambda x: x.astype(int)])
def test_a_dtype_of_other_numbers_is_not_passed_over(cut):
    """In floats these are 0, 1 or a sum cut to a whole number: the gradient of x^2 is none of them."""
    try:
        assert not certify(lambda x: np.sum(x * x), lambda d, x: {"x": 2 * d * cut(x)}, {"x": [0.7, 0.4]}).ok
    except ConfigurationError as error:
        assert "cannot run on exact numbers" in str(error)
    right = certify(lambda x: np.maximum(x, 0), lambda d, x: {"x": d * np.array(x > 0, dtype=bool)}, {"x": [0.7, -1.0]})
    assert_exact(right)


def buffered(x):
    y = np.empty(x.shape)
    y[:] = x * x
    return y


RUNS = {"float64 sums": (lambda x: np.sum(x**3, dtype=np.float64), lambda d, x: d * 3 * x**2),
        "einsum": (lambda x: np.einsum("i,i->", x, x, dtype=np.float64), lambda d, x: d * 2 * x),
        "logaddexp": (lambda x: np.logaddexp(0, x), lambda d, x: d / (1 + np.exp(-x))),
        "float": (lambda x: float(np.sum(x * x)), lambda d, x: d * 2 * x),
        "np.float64": (lambda x: np.float64(x[0]) * x[1:],
                       lambda d, x: np.append(np.sum(d * x[1:]), d * x[0])),
        "math": (lambda x: math.exp(x[0]) * math.log(x[1]),
                 lambda d, x: d * np.array([math.exp(x[0]) * math.log(x[1]), math.exp(x[0]) / x[1], 0.0])),
        "float buffers": (buffered, lambda d, x: d * 2 * x),
        "astype": (lambda x: x.astype(np.float64) ** 1.5, lambda d, x: 1.5 * d * np.sqrt(x)),
        "means and variances": (lambda x: np.var(x) + x.mean(), lambda d, x: d * (2 * (x - x.mean()) + 1) / len(x)),
        "powers": (lambda x: x ** -0.5, lambda d, x: -0.5 * d * x ** -1.5),
        "masks": (lambda x: np.where(x > 1, x, 0.2 * x), lambda d, x: d * np.where(x > 1, 1, 0.2))}


@pytest.mark.parametrize("name", RUNS)
def test_what_code_for_floats_says_runs_on_exact_numbers(name):
    f, slope = RUNS[name]
    arrays = {"x": [0.5, 1.5, 2.5]}
    assert_exact(certify(f, lambda d, x: {"x": slope(d, x)}, arrays, trials=4))
    assert certify(f, lambda d, x: {"x": 1.25 * slope(d, x)}, arrays).faults[0].startswith("x[0]")


def test_a_number_without_axes_is_judged_and_named():
    at = {"a": np.array(1.3)}
    assert_exact(certify(lambda a: a**2, lambda d, a: {"a": 2 * a * d}, at))
    assert certify(lambda a: a**2, lambda d, a: {"a": 3 * a * d}, at).verdict == "wrong: a: exactly 3/2 x"
    assert_exact(certify(lambda a: np.sqrt(a**2 + 1), lambda d, a: {"a": d * a / np.sqrt(a**2 + 1)}, at))


@pytest.mark.parametrize("f, line", [
    (lambda x: np.ones(3)[x], "keep arrays of indices and labels out of arrays"),
    (lambda x: np.sin(x), "np.sin(x)"), (lambda x: math.sin(x[0]), "math.sin(x[0])"),
    (lambda x: np.linalg.det(x * np.eye(2)), "np.linalg.det"), (lambda x: np.zeros(2, float, "C") + x, '"C"'),
    (lambda x: np.asarray(a=x), "np.asarray(a=x)"),
    (lambda x: x * sys.modules["numpy"].log(np.full(2, 1, object)), "no callable log"),      # as scipy's logsumexp does
    (lambda x: sys.modules["numpy"].zeros(2).__setitem__(0, x[0]), "__setitem__")])
def test_a_line_that_cannot_run_is_named(f, line):
    with pytest.raises(ConfigurationError, match=r"^test_certificate.py:\d+, `.*cannot run on exact numbers") as error:
        certify(f, lambda d, x: {"x": d}, {"x": [0.5, 1.5]})
    assert line in str(error.value) and "\n" not in str(error.value)


class Widthless:
    def forward(self, p, x, y):
        y[:] = x * x

    def backward(self, p, x, y, d_y, d_p, d_x):
        d_x[:] = 2 * x * d_y


def test_a_layer_that_does_not_say_how_large_y_is_needs_a_y():
    assert_exact(certify_layer(Widthless(), (), np.ones((2, 3)), y=np.empty((2, 3))))


def test_errors_of_the_checked_code_stay_what_they_are():
    with pytest.raises(TypeError, match="unexpected keyword"):
        certify(lambda y: y, lambda d, x: {"x": d}, {"x": [0.5]})
    with pytest.raises(ShapeError, match="vjp gives shape"):
        certify(lambda x: x, lambda d, x: {"x": d.sum()}, {"x": [0.5]})
    for vjp, words in ((lambda d, x: {"y": d}, "vjp returns"), (lambda d, x: d, "what vjp returns is"),
                       (lambda d, x: {"x": None}, "vjp returns a NoneType")):
        with pytest.raises(ConfigurationError, match=words):
            certify(lambda x: x, vjp, {"x": [0.5]})
    for y in (lambda x: (x, x.sum()), lambda x: (x, x[:, :2]), lambda x: [x, x.sum(axis=1)]):
        with pytest.raises(ConfigurationError, match="f returns a (tuple|list) of arrays of several shapes.* a dict"):
            certify(y, lambda d, x: {"x": d}, {"x": np.ones((2, 3))})
    with pytest.raises(ConfigurationError, match=r"arrays takes \(\); expected a function arrays\(rng\)"):
        certify(lambda x: x, lambda d, x: {"x": d}, lambda: {"x": [0.5]})
    with pytest.raises(ShapeError, match="eps of float64 has shape"):
        certify_model(VAE(3, 1, hidden=()), np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ConfigurationError, match="neither outputs"):
        certify_layer(Widthless(), (), np.ones((2, 3)))


def test_an_entry_that_is_never_written_is_wrong():
    def vjp(d, x):
        d_x = np.empty(x.shape)
        d_x[:2] = d[:2]
        return {"x": d_x}

    assert certify(lambda x: x, vjp, {"x": np.ones(3)}).faults[0].startswith("x[2]: ")


def test_afterwards_every_module_is_as_it_was():
    before = {name: dict(vars(module)) for name, module in sys.modules.items() if name.startswith("scratchvae")}
    certify(*dense_case())
    with pytest.raises(ConfigurationError):
        certify(lambda x: np.sin(x), lambda d, x: {"x": d}, {"x": [0.5]})
    assert before == {name: dict(vars(sys.modules[name])) for name in before}
    assert sys.modules["numpy"].empty is np.empty and isinstance(float("1"), float) and "float" not in globals()


def test_the_report_says_what_is_proved_and_what_is_not():
    report = str(certify(*dense_case(), trials=2))
    assert report.startswith("exact: all 36 entries in 2 trials, false pass below 2^-")
    for word in ("branches", "rounding", "compiled", "the one that was meant"):
        assert word in report
    assert type(Exact(0.5).x) is float
