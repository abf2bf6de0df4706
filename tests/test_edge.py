"""The public edge takes arrays of any layout and any size, and reads nothing that it did not write."""
import numpy as np
import pytest

from scratchvae import evaluate, VAE

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
