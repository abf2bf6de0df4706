"""Numbers mean the same at every door, in files and in arrays, whatever their dtype; unclear ones are refused."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchvae import Autoencoder, evaluate, load_data, VAE
from scratchvae.analysis.elbo_decomposition import ledger
from scratchvae.arrays import as_finite
from scratchvae.data.meaning import as_data, as_floats
from scratchvae.errors import DataError, ScratchVAEError
from scratchvae.gradcheck import check_model
from scratchvae.oracles import LinearGaussian, ppca, Quadrature
from scratchvae.training import Trainer

N, D = 40, 6
LEVELS = np.random.default_rng(0).integers(0, 256, (N, D))
WHITE = LEVELS > 127
INTEGERS = ("uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", ">u2", ">i4", ">i8")
FLOATS = ("float16", "float32", "float64", "longdouble", ">f4", ">f8")


def model(kind=VAE, **settings):
    return kind(D, 1, hidden=(4,), dtype="float64", seed=3, **{"likelihood": "gaussian", **settings})


def trained(run):
    def door(x):
        vae = model()
        run(vae, x)
        return vae.parameters.flat
    return door


def noise(x):
    return np.random.default_rng(1).standard_normal((len(x) if hasattr(x, "__len__") else N, 1))


def linear():
    rng = np.random.default_rng(2)
    return LinearGaussian(rng.standard_normal((2, D)), rng.standard_normal(D), 0.5)


# what a user can do with data -> the numbers that come of it
DOORS = {
    "fit": trained(lambda vae, x: vae.fit(x, epochs=1, batch_size=20)),
    "validation": lambda x: Trainer(model(), np.ones((9, D)), batch_size=9, validation=x).run(1).column("test_loss"),
    "partial_fit": trained(lambda vae, x: vae.partial_fit(x, batch_size=20)),
    "binarize": trained(lambda vae, x: vae.fit(x, epochs=1, batch_size=20, binarize="threshold")),
    "score": lambda x: model().score(x),
    "encode": lambda x: np.hstack(model().encode(x)),
    "transform": lambda x: model().transform(x),
    "transform of an autoencoder": lambda x: model(Autoencoder).transform(x),
    "reconstruct": lambda x: model().reconstruct(x),
    "objective": lambda x: model().objective(x, noise(x)),
    "gradient": lambda x: model().gradient(x, noise(x))[1].flat,
    "evaluate": lambda x: evaluate(model(), x, importance_samples=3).elbo,
    "ledger": lambda x: ledger(model(), x, importance_samples=3, steps=2).elbo,
    "Quadrature": lambda x: Quadrature(model()).log_p(x),
    "LinearGaussian": lambda x: linear().log_p(x),
    "ppca": lambda x: ppca(x, 1).log_p,
}


@pytest.fixture(params=DOORS)
def door(request):
    return DOORS[request.param]


@pytest.fixture(params=["npy", "npz"])
def from_file(request, tmp_path):
    """A function that writes an array and returns what load_data makes of it, as one array."""
    def read(x):
        path = tmp_path / f"x.{request.param}"
        if request.param == "npy":
            np.save(path, x)
        else:
            np.savez(path, train=x[:30], test=x[30:])
        data = load_data(path)
        return np.concatenate([data.train, data.test])
    return read


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_of_any_width_are_gray_levels_at_every_door(door, dtype):
    np.testing.assert_allclose(door(LEVELS.astype(dtype)), door(LEVELS / 255), rtol=1e-9)


def test_bool_is_0_and_1_at_every_door(door):
    np.testing.assert_allclose(door(WHITE), door(WHITE.astype(float)), rtol=1e-9)


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_are_themselves_at_every_door(door, dtype):
    x = (LEVELS / 255).astype(dtype)
    np.testing.assert_array_equal(door(x), door(x.astype(float)))


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool", "float16", "float32", "float64", ">f4", ">f8"])
def test_a_file_means_what_its_array_means(from_file, dtype):
    x = WHITE if dtype == "bool" else (LEVELS if np.dtype(dtype).kind in "iu" else LEVELS / 255).astype(dtype)
    read = from_file(x)
    np.testing.assert_array_equal(as_floats(read, "float64"), as_floats(as_data(x, "x"), "float64"))
    assert np.array_equal(model().encode(read), model().encode(x))


@pytest.mark.parametrize("rows", [1, N])
@pytest.mark.parametrize("dtype", ["int8", *INTEGERS])
def test_integers_of_nothing_but_0_and_1_are_refused_at_every_door(door, dtype, rows):
    with pytest.raises(DataError, match=r"nothing but 0 and 1.*\.astype\(bool\).*/ 255\.0"):
        door(np.ones((rows, D), dtype))


@pytest.mark.parametrize("dtype", ["int8", *INTEGERS])
def test_integers_of_nothing_but_0_and_1_are_refused_in_files(from_file, dtype):
    with pytest.raises(DataError, match=r"nothing but 0 and 1.*\.astype\(bool\).*/ 255\.0"):
        from_file(WHITE.astype(dtype))


@pytest.mark.parametrize("value", [-1, 256, 2**40])
def test_integers_that_are_no_levels_are_refused_with_the_way_to_pass_measurements(from_file, value):
    x = LEVELS.copy()
    x[3, 2] = value
    for refuse in (*DOORS.values(), from_file):
        with pytest.raises(DataError, match=rf"{value}.*0\.\.255.*astype\(np.float32\)"):
            refuse(x)


@pytest.mark.parametrize("dtype", ["bool", "int8", *INTEGERS, "float32"])
def test_black_rows_are_black_by_every_reading(from_file, dtype):
    black = np.zeros((N, D), dtype)
    assert not as_floats(from_file(black), "float64").any()
    np.testing.assert_array_equal(model().transform(black), model().transform(np.zeros((N, D))))


@given(st.integers(0, 2**32 - 1), st.sampled_from(INTEGERS))
def test_no_batch_changes_what_a_row_means(seed, dtype):
    """A row alone is read as it is among others, or refused: never otherwise."""
    rng = np.random.default_rng(seed)
    x = (rng.integers(0, 256, (9, 3)) >> rng.integers(0, 9, (9, 1))).astype(dtype)      # some rows are nearly black
    try:
        whole = as_floats(as_data(x, "x"), "float64")
    except DataError:
        assert x.max() == 1
        return
    for row, expected in zip(x, whole):
        try:
            assert np.array_equal(as_floats(as_data(row[None], "x"), "float64")[0], expected)
        except DataError:
            assert row.max() == 1


def test_of_a_large_array_a_sample_decides_whether_it_is_all_0_and_1():
    large = np.zeros((1 << 13, 1 << 13), np.uint8)
    large[::2] = 1
    with pytest.raises(DataError, match="nothing but 0 and 1"):
        as_data(large, "x")
    large[::2] = 200
    assert as_data(large, "x") is large


@pytest.mark.parametrize("write", [lambda levels: levels / 255, lambda levels: levels.astype("uint8"), np.array,
                                   lambda levels: (levels / 255).tolist()])
@pytest.mark.parametrize("segment", ["encoder.head.b", "decoder.head.b"])
def test_a_gradient_check_and_its_hints_read_data_of_any_dtype(segment, write):
    class Wrong(VAE):
        def gradient(self, X, eps):
            objective, gradient = super().gradient(X, eps)
            gradient[segment][:] *= 2
            return objective, gradient

    settings, given = dict(likelihood="gaussian", dtype="float64", activation="tanh"), write(LEVELS[:2])
    assert all(check.ok for check in check_model(VAE(D, 1, hidden=(4,), **settings), given, noise(given)))
    found = check_model(Wrong(D, 1, hidden=(4,), **settings), given, noise(given))
    assert segment in [check.name for check in found if not check.ok]
    assert any("2 x numeric" in check.hint for check in found)


# ---- what a model reads, in its own dtype

@pytest.mark.parametrize("kind", [VAE, Autoencoder])
def test_float64_data_beyond_float32_are_refused_by_a_float32_model_and_not_by_another(kind):
    x = LEVELS / 255
    x[7, 1] = -1e39
    narrow = kind(D, 1, hidden=(4,), likelihood="gaussian")
    for refuse in (narrow.transform, narrow.fit, narrow.score, lambda x: narrow.fit(np.ones((N, D)), validation=x)):
        with pytest.raises(DataError, match=r'1e\+39.*float32.*3\.4e\+38.*dtype="float64"'):
            refuse(x)
    assert np.isfinite(model(kind).transform(x)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named_as_such_also_by_a_float32_model(value):
    x = np.full((N, D), 0.5)
    x[7, 1] = value
    with pytest.raises(DataError, match=f"{value} at row 7, column 1.*finite"):
        VAE(D, 1, hidden=(4,)).transform(x)
    with pytest.raises(DataError, match=r"X\[4096:\] has the value .* at row 7"):
        VAE(D, 1, hidden=(4,)).transform(np.concatenate([np.full((4096, D), 0.5), x]))


def test_a_longdouble_that_no_float64_holds_is_refused_as_infinite():
    x = np.full((N, D), 0.5, np.longdouble)
    x[0, 0] = np.finfo(np.longdouble).max
    if x[0, 0] <= np.finfo(np.float64).max:
        pytest.skip("longdouble is float64 on this machine")
    with pytest.raises(DataError, match="inf at row 0"):
        model().transform(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_a_scaler_rounds_beyond_1_is_taken_and_of_what_is_refused_every_digit_is_shown(dtype):
    x, bernoulli = LEVELS / LEVELS.max(), VAE(D, 1, hidden=(4,), dtype=dtype)
    gaussian = VAE(D, 1, hidden=(4,), likelihood="gaussian", dtype=dtype)
    for scale in (1 + 2e-16, 1 + 1e-9, 1 + 1e-7):
        assert np.isfinite(bernoulli.score(x * scale))
        assert np.isfinite(Trainer(bernoulli, x * scale, batch_size=20, binarize="dynamic").run(1)[-1].train_loss)
    for refuse in (bernoulli.score, lambda x: gaussian.fit(x, batch_size=20, binarize="dynamic")):
        with pytest.raises(DataError, match=r"to 1\.0000[12][0-9]*; .*\[0, 1\]"):
            refuse(x * (1 + 2e-5))


# ---- what is no array of real numbers

class Sparse:
    """What all sparse matrices have in common: NumPy makes one object of them."""

    def toarray(self):
        """Return what is meant."""


class Tensor:
    """What another library's tensor is that has a gradient or lies on another device."""

    def detach(self):
        """Return what is meant."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.\nUse tensor.detach().numpy() instead.")


F = LEVELS / 255
NO_NUMBERS = {
    "masked": (np.ma.masked_less(F, 0.5), r"masked values.*\.filled\("),
    "masked rows": ([np.ma.masked_less(row, 0.5) for row in F], r"masked values.*\.filled\("),
    "masked parts of rows": ([[np.ma.masked_less(row[:3], 0.5), row[3:]] for row in F], r"masked values.*\.filled\("),
    "masked numbers": ([tuple(np.ma.masked_less(row, 0.5)) for row in F], r"masked values.*\.filled\("),
    "no columns": (np.zeros((N, 0)), "is empty, .*Check how the data were loaded"),
    "sparse": (Sparse(), r"sparse Sparse.*\.toarray\(\)"),
    "tensor": (Tensor(), r"requires grad\. Use.*\.detach\(\)\.cpu\(\)\.numpy\(\)"),
    "complex": (F + 0j, "complex128.*x.real, x.imag"),
    "structured": (np.zeros(N, [("a", float), ("b", int)]), "structured_to_unstructured"),
    "void": (np.zeros((N, D), "V2"), r"V2.*\.astype\(float\)"),
    "objects": (F.astype(object), r"object.*\.astype\(float\)"),
    "text": (F.astype(str), r"<U.*\.astype\(float\)"),
    "bytes": (F.astype("S"), r"\|S.*\.astype\(float\)"),
    "dates": (np.full((N, D), "2020-01-01", "M8[s]"), "datetime64.*timedelta64"),
    "times": (np.ones((N, D), "m8[s]"), "timedelta64.* / np.timedelta64"),
    "ragged": ([[0.5] * D, [0.5]], "no array.*Pass a NumPy array"),
    "a set": ({1.0}, "dtype object.*Pass a NumPy array of numbers"),
    "a dict": ({"a": F}, "dtype object.*Pass a NumPy array of numbers"),
}


@pytest.mark.parametrize("what", NO_NUMBERS)
def test_what_is_no_array_of_real_numbers_is_refused_at_every_door_with_the_call_that_converts_it(door, what):
    x, words = NO_NUMBERS[what]
    with pytest.raises(ScratchVAEError, match=f"^(X|validation) .*{words}") as caught:
        door(x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", ["masked", "sparse", "tensor", "complex", "structured", "objects"])
def test_noise_and_latents_and_parts_of_distributions_are_refused_in_the_same_words(what):
    x, words = NO_NUMBERS[what]
    for name, refuse in (("eps", lambda: model().objective(F, x)), ("z", lambda: model().decode(x)),
                         ("x", lambda: as_finite(x, "x"))):
        with pytest.raises(ScratchVAEError, match=f"^{name} .*{words}"):
            refuse()


def test_a_mask_that_hides_nothing_a_matrix_and_an_object_with_an_array_are_taken():
    class Offered:
        def __array__(self, dtype=None, copy=None):
            return F

    with pytest.warns(PendingDeprecationWarning, match="matrix"):
        matrix = np.matrix(F)
    for x in (np.ma.array(F), matrix, Offered(), F.tolist(), list(F)):
        np.testing.assert_array_equal(model().transform(x), model().transform(F))


def test_tables_of_plain_dtypes_are_taken_and_others_refused_with_the_call_that_converts_them():
    pd = pytest.importorskip("pandas", reason="tables are tested where pandas is installed")
    table = pd.DataFrame(F, columns=list("abcdef"))
    taken = [table, table.astype("float32").astype(float), pd.DataFrame(LEVELS.astype("uint8"))]
    nullable = [table.astype("Float64"), table.assign(a=True), pd.DataFrame(WHITE).astype("boolean")]
    mixed = [table.assign(f=value) for value in ("text", pd.Timestamp("2020-01-01"), pd.Categorical(["u"] * N))]
    for x in taken:
        assert np.isfinite(model().score(x))
    for x in nullable:
        with pytest.raises(ScratchVAEError, match=r"\.to_numpy\(float\)"):
            model().score(x)
        assert np.isfinite(model().score(x.to_numpy(float)))                # the advice, followed
    for x in mixed:
        with pytest.raises(ScratchVAEError, match=r"'f': \.select_dtypes\('number'\)"):
            model().score(x)
        assert VAE(5, 1, hidden=(4,), likelihood="gaussian").transform(x.select_dtypes("number")).shape == (N, 1)


def test_sparse_matrices_are_refused_with_the_call_that_converts_them():
    sparse = pytest.importorskip("scipy.sparse", reason="sparse matrices are tested where SciPy is installed")
    for kind in (sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix):
        with pytest.raises(ScratchVAEError, match=rf"sparse {kind.__name__}.*\.toarray\(\)"):
            model().score(kind(F))
        assert np.isfinite(model().score(kind(F).toarray()))
