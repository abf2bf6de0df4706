"""The public edge takes arrays of any layout and any size, and reads nothing that it did not write."""
import functools
import os
import subprocess
import sys

import numpy as np
import pytest

from scratchvae import Autoencoder, evaluate, ScratchVAEError, VAE
from scratchvae.arrays import once
from scratchvae.errors import ConfigurationError, ShapeError
from scratchvae.estimators import EVERY, head_gradient
from scratchvae.layers import Dense, MLP
from scratchvae.likelihoods import Bernoulli, LIKELIHOODS, make_likelihood
from scratchvae.optimizers import Adam, SGD
from scratchvae.parameters import Affine, Layout, Parameters
from scratchvae.training import train_step, Trainer

IMAGE = 3, 7
D = 21
SIZES = (1, 3, 7, 16, 17, 49)                # rows: around the widths of vectors and of register tiles
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def model(dtype, **settings):
    return VAE(D, 3, hidden=(9,), activation="tanh", n_samples=2, dtype=dtype, seed=4, **settings)


def everything(dtype, n, layout=lambda array: array, folder=None):
    """What every public function gives for n examples whose arrays are laid out in some way, as one list."""
    rng = np.random.default_rng(n)
    x, eps = rng.random((n, *IMAGE)).astype(dtype), rng.standard_normal((n, 2, 3)).astype(dtype)
    z, pixels = eps[:, 1].copy(), rng.integers(0, 256, (n, *IMAGE), dtype=np.uint8)
    x, eps, z, pixels, binary = map(layout, (x, eps, z, pixels, (x > 0.5).astype(dtype)))
    vae = model(dtype)
    objective, gradient = vae.gradient(x, eps)
    results = [objective, gradient.flat, vae.objective(pixels, eps), *vae.encode(x), vae.decode(z), vae.reconstruct(x),
               vae.transform(pixels), *evaluate(vae, binary, importance_samples=9)[:6], vae.score(x)]
    for data, binarize in ((x, "none"), (pixels, "dynamic")) if dtype == "float32" else ((x, "none"),):
        vae.fit(data, epochs=2, batch_size=max(1, n // 2), validation=x, binarize=binarize)
        for row in vae.history_:
            results.append(row.train_loss)
            results.append(row.test_loss)
    results.append(vae.parameters.flat)
    if folder is not None:
        vae.save(folder / "model.npz")
        (folder / "model.npz").chmod(0o444)
        results.append(VAE.load(folder / "model.npz").parameters.flat)
    return results


def read_only(array):
    array.setflags(write=False)
    return array


def every_second(array):
    return np.repeat(np.repeat(array, 2, axis=0), 2, axis=-1)[::2, ..., ::2]


def backwards(array):
    return array[::-1, ..., ::-1].copy()[::-1, ..., ::-1]


def one_row_repeated(array):
    """Strides of 0: every row is the first."""
    return np.broadcast_to(array[:1], array.shape)


LAYOUTS = {"read-only": read_only, "in Fortran's order": np.asfortranarray, "every second element": every_second,
           "backwards": backwards, "of another byte order": lambda a: a.astype(a.dtype.newbyteorder()),
           "read-only and strided": lambda a: read_only(every_second(a))}


def assert_same_bits(ones, others):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one, other)


@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_an_array_of_any_layout_gives_the_bits_of_a_plain_one(dtype, layout, tmp_path):
    assert_same_bits(everything(dtype, 17), everything(dtype, 17, layout, tmp_path)[:-1])


@every_dtype
def test_rows_that_share_their_memory_are_rows(dtype):
    assert_same_bits(everything(dtype, 7, lambda a: one_row_repeated(a).copy()), everything(dtype, 7, one_row_repeated))


@every_dtype
@pytest.mark.parametrize("n", SIZES)
def test_memory_that_was_never_written_is_never_read(dtype, n, monkeypatch):
    """np.empty holds whatever was there: with zeros and with NaN in it, every result is the same."""
    empty, empty_like = np.empty, np.empty_like

    def filled(value):
        def poisoned(make):
            def new(*arguments, **options):
                array = make(*arguments, **options)
                if array.dtype.kind == "f":
                    array.fill(value)
                return array
            return new
        monkeypatch.setattr(np, "empty", poisoned(empty))
        monkeypatch.setattr(np, "empty_like", poisoned(empty_like))
        return everything(dtype, n)

    assert_same_bits(filled(0.0), filled(np.nan))


@every_dtype
@pytest.mark.parametrize("n", SIZES)
def test_a_batch_of_any_size_is_the_mean_of_its_examples(dtype, n):
    """test_elbo draws small batches in float64; these are the sizes at which the kernels change their path."""
    vae = model(dtype)
    rng = np.random.default_rng(n)
    x, eps = rng.random((n, D)), rng.standard_normal((n, 2, 3))
    objective, gradient = vae.gradient(x, eps)
    single = [vae.gradient(x[i:i + 1], eps[i:i + 1]) for i in range(n)]
    # Sums of n terms of a few dozen roundings each.
    rounding = 64 * np.finfo(dtype).eps
    np.testing.assert_allclose(objective, np.mean([one for one, _ in single], axis=0), rtol=rounding)
    mean = np.mean([other.flat.astype(float) for _, other in single], axis=0)
    np.testing.assert_allclose(gradient.flat, mean, rtol=0, atol=rounding * np.abs(mean).max())


# ---- public doors that end in kernels: whatever does not fit is refused, and nothing outside an array is touched

def wrong_versions(array, written):
    """Yield (what, value) of values that a kernel must not be given in the place of an array."""
    n, last = array.shape[0], array.shape[-1]
    yield "one column fewer", array[..., :last - 1].copy()
    yield "one column more", np.concatenate([array, array[..., :1]], axis=-1)
    yield "one row fewer", array[:n - 1].copy()
    yield "one row more", np.concatenate([array, array[:1]])
    yield "another dtype", array.astype(np.float32 if array.dtype == np.float64 else np.float64)
    yield "integers", np.zeros(array.shape, np.int64)
    yield "objects", array.astype(object)
    yield "another byte order", array.astype(array.dtype.newbyteorder())
    yield "every second number", np.repeat(array, 2, axis=-1)[..., ::2]
    yield "backwards", array[..., ::-1]
    yield "no columns", array[..., :0].copy()
    yield "no rows", array[:0].copy()
    yield "one dimension more", array[None]
    yield "one dimension", array.reshape(-1)[None, :-1].ravel()
    yield "no dimension", np.array(1.0)
    yield "a list", array.tolist()
    yield "nothing", None
    if array.ndim == 2:
        yield "transposed", array.T
        yield "transposed in memory", np.asfortranarray(array)
    if written:
        yield "read-only", read_only(array.copy())


def doors(dtype):
    """Yield (name, function of arrays, the arrays that fit, the names of those that are written)."""
    rng, B, K, Z = np.random.default_rng(0), 5, 2, 3

    def numbers(*shape, kind=dtype):
        return rng.random(shape).astype(kind)

    layer = Dense(4, 6, "tanh")
    dense = dict(W=numbers(4, 6), b=numbers(6), x=numbers(B, 4), y=numbers(B, 6))
    more = dict(d_y=numbers(B, 6), d_W=numbers(4, 6), d_b=numbers(6), d_x=numbers(B, 4))
    yield "Dense.forward", lambda W, b, x, y: layer.forward(Affine(W, b), x, y), dense, "y"
    yield ("Dense.backward", lambda W, b, x, y, d_y, d_W, d_b, d_x:
           layer.backward(Affine(W, b), x, y, d_y, Affine(d_W, d_b), d_x), dense | more, "d_y d_W d_b d_x")
    network = MLP.build((4, 6, 3), "relu")
    deep = dense | dict(V=numbers(6, 3), c=numbers(3), z=numbers(B, 3))
    yield ("MLP.forward", lambda W, b, x, y, V, c, z:
           network.forward((Affine(W, b), Affine(V, c)), x, (y, z)), deep, "y z")
    yield ("MLP.backward", lambda W, b, x, y, V, c, z, d_y, d_W, d_b, d_x, d_z, d_V, d_c: network.backward(
        (Affine(W, b), Affine(V, c)), x, (y, z), (d_y, d_z), (Affine(d_W, d_b), Affine(d_V, d_c)), d_x),
        deep | more | dict(d_z=numbers(B, 3), d_V=numbers(6, 3), d_c=numbers(3)), "d_y d_z d_W d_b d_V d_c d_x")
    for name in LIKELIHOODS:
        likelihood = make_likelihood(name)
        p, d_p = ({key: np.zeros(shape, dtype) for key, shape in likelihood.parameter_shapes(4).items()}
                  for _ in range(2))
        rows = dict(outputs=numbers(B * K, likelihood.n_outputs(4)), x=numbers(B, 4),
                    nll=numbers(B * K, kind=np.float64))
        yield (f"{name}.nll", lambda outputs, x, nll, likelihood=likelihood, p=p: likelihood.nll(p, outputs, x, nll),
               rows, "nll")
        yield (f"{name}.nll_backward", lambda outputs, x, nll, d_nll, d_outputs, likelihood=likelihood, p=p, d_p=d_p:
               likelihood.nll_backward(p, outputs, x, d_nll, nll, d_p, d_outputs),
               rows | dict(d_nll=numbers(B * K, kind=np.float64), d_outputs=rows["outputs"].copy()),
               "nll d_nll d_outputs")
    for kind in (Adam, SGD):
        yield f"{kind.__name__}.update", kind(7, dtype).update, dict(theta=numbers(7), gradient=numbers(7)), "theta"
    layout = Layout({"a.W": (2, 3), "a.b": (3,)})
    yield "Parameters", lambda flat: Parameters(layout, flat), dict(flat=numbers(9)), "flat"
    trainer = Trainer(VAE(4, 2, hidden=(3,), dtype=dtype), numbers(8, 4), batch_size=8)

    def step(order):
        trainer.state.batch = 0
        trainer.step(order)
    yield "Trainer.step", step, dict(order=np.arange(8)), ""
    for name in EVERY:
        arrays = dict(head=numbers(B, 2 * Z), eps=numbers(B * K, Z), nll=numbers(B * K, kind=np.float64),
                      d_nll_dz=numbers(B * K, Z))
        yield f"head_gradient {name}", functools.partial(head_gradient, name), arrays, ""


FITTING = ("transposed in memory", "every second number", "backwards", "another byte order", "integers",
           "another dtype")


def walk_through_the_doors(dtype):
    """Give every door what does not fit; print what it did instead of refusing.  A fault may end the process."""
    for name, door, arrays, written in doors(dtype):
        door(**{key: array.copy() for key, array in arrays.items()})
        for key, array in arrays.items():
            for what, wrong in wrong_versions(array, key in written.split()):
                given = {other: value.copy() for other, value in arrays.items()} | {key: wrong}
                copied = name.startswith(("head_gradient", "Trainer"))
                if np.shape(wrong) == np.shape(array) and copied and what in FITTING:
                    continue                                   # these take arrays of any layout
                if (key, what) in (("d_x", "nothing"), ("flat", "another dtype"), ("flat", "read-only")):
                    continue                                   # a d_x that nobody wants; parameters that only are read
                # A network may have written the outputs of its first layers when another one's turns out not to fit.
                kept = given.keys() - (written.split() if name.startswith("MLP") else ())
                before = {other: given[other].copy() for other in kept if isinstance(given[other], np.ndarray)}
                try:
                    door(**given)
                    print(f"{name} took {key} with {what}")
                except ScratchVAEError as error:
                    if "\n" in str(error):
                        print(f"{name} with {key} {what}: {error}")
                except Exception as error:
                    print(f"{name} with {key} {what}: {type(error).__name__}: {error}")
                for other, value in before.items():
                    if not np.array_equal(value, given[other]):
                        print(f"{name} with {key} {what} had changed {other} before it refused")


def test_a_check_that_remembers_looks_at_a_new_array_at_an_old_address():
    looked = []
    check = once(lambda *arrays: looked.append(len(arrays)))
    first, second = np.ones(3), np.ones(3)
    check(first, second)
    check(first, second)
    check(first, first)
    check(first, second)
    assert looked == [2, 2, 2]
    address = id(first)
    del first
    kept = []
    while id(new := np.ones(3)) != address:               # Python gives the place to one of the next arrays
        kept.append(new)
    check(new, second)
    assert len(looked) == 4


@every_dtype
def test_what_does_not_fit_is_refused_at_every_public_door_before_anything_is_written(dtype):
    """In a process of its own: what reads beyond an array may end it."""
    script = f"import test_edge; test_edge.walk_through_the_doors({dtype!r})"
    walk = subprocess.run([sys.executable, "-c", script], cwd=os.path.dirname(__file__), capture_output=True, text=True,
                          timeout=600)
    assert (walk.returncode, walk.stdout) == (0, ""), walk.stdout[-3000:] + walk.stderr[-3000:]


def small(kind=VAE, **settings):
    return kind(6, 2, **{"hidden": (5,), **settings})


OTHERS = {"fewer pixels": VAE(5, 2, hidden=(5,)), "more pixels": VAE(7, 2, hidden=(5,)),
          "fewer latents": VAE(6, 1, hidden=(5,)), "a narrower layer": VAE(6, 2, hidden=(4,)),
          "a layer more": VAE(6, 2, hidden=(5, 5)), "no layer": VAE(6, 2, hidden=()),
          "another dtype": VAE(6, 2, hidden=(5,), dtype="float64"),
          "two outputs a pixel": small(likelihood="gaussian_diagonal"), "an Autoencoder": small(Autoencoder)}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("settings", [{}, {"n_samples": 2, "estimator": "iwae"}, {"likelihood": "gaussian"}])
def test_the_workspace_the_gradient_and_the_parameters_of_another_model_are_refused(other, settings):
    vae = small(**settings)
    own, gradient = vae.workspace(4), Parameters.zeros(vae.parameters.layout, "float32")
    others, wrong = other.workspace(4), Parameters.zeros(other.parameters.layout, other.dtype)
    for arrays in (own, others):
        arrays.x[:], arrays.eps[:] = 0.5, 0.5
    before = vae.parameters.flat.copy()
    for use in (lambda: vae.forward(others), lambda: vae.forward_backward(others, gradient),
                lambda: vae.forward_backward(own, wrong), lambda: setattr(vae, "parameters", other.parameters),
                lambda: train_step(vae, own, wrong, Adam(before.size, "float32")),
                lambda: train_step(vae, own, gradient, Adam(before.size + 1, "float32")),
                lambda: train_step(vae, own, gradient, Adam(before.size, "float64"))):
        with pytest.raises(ShapeError):
            use()
    np.testing.assert_array_equal(vae.parameters.flat, before)
    vae.forward_backward(own, gradient)                                 # and it still works


def test_parameters_that_fit_are_copied_into_the_models_own():
    vae, other = small(seed=1), small(seed=2)
    flat, W = vae.parameters.flat, vae.parameters.encoder.head.W
    vae.parameters = other.parameters
    np.testing.assert_array_equal(flat, other.parameters.flat)
    assert vae.parameters.flat is flat and vae.parameters.encoder.head.W is W
    assert not np.shares_memory(flat, other.parameters.flat)
    for wrong in (None, flat, {"flat": flat}):
        with pytest.raises(ConfigurationError, match="parameters is a"):
            vae.parameters = wrong


def test_a_likelihood_of_ones_own_with_two_outputs_a_pixel_cannot_borrow_the_formula_of_one():
    class Wide(Bernoulli):
        def n_outputs(self, n_visible):
            return 2 * n_visible

    vae = small(likelihood=Wide())
    for use in (lambda: vae.objective(np.eye(6), np.zeros((6, 2))), lambda: vae.fit(np.eye(6), batch_size=3),
                lambda: vae.score(np.eye(6)), lambda: evaluate(vae, np.eye(6), importance_samples=3)):
        with pytest.raises(ShapeError, match=r"(outputs|bias) has shape \((\d+, )?12,?\).*expected \((\d+, )?6,?\)"):
            use()


@pytest.mark.parametrize("batch", [0, -1, 2.0, "5", None, 2**40])
def test_a_workspace_of_no_size_is_refused(batch):
    with pytest.raises(ConfigurationError, match="batch"):
        small().workspace(batch)
