"""The files that people already have: CSV, MATLAB, CIFAR, EMNIST, folders of pictures; what is found in them."""
import gzip
import itertools
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from test_cli import command, result
from test_data import assert_damage_is_noticed, idx, idx_folder, labels, mapping, pixels, refusal, write

from scratchvae import load_data, VAE
from scratchvae.cli.figures import reconstruction_figure, sample_figure
from scratchvae.cli.run_folder import Run
from scratchvae.errors import ConfigurationError, DataError
from scratchvae.storage import pictures as picture_reader
from scratchvae.storage.matlab import read_mat

N, SHAPE, D = 20, (10, 8), 80
NUMBERS = {"u1": 2, "i2": 3, "u2": 4, "f4": 7, "f8": 9}          # MATLAB's codes of what is in the file
CLASSES = {"f8": 6, "f4": 7, "u1": 9, "i2": 10, "u2": 11}


def element(kind, content):
    return struct.pack("<2I", kind, len(content)) + content + bytes(-len(content) % 8)


def mat(path, packed=True, stored=None, **arrays):
    """Write a .mat file of version 5; numbers are stored in another dtype if asked for, as MATLAB itself does."""
    file = b"MATLAB 5.0 MAT-file, by hand".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    for name, array in arrays.items():
        kind, name = array.dtype.str[1:], name.encode()
        flags = element(6, struct.pack("<2I", CLASSES[kind], 0))
        small = struct.pack("<2H", 1, len(name)) + name.ljust(4, b"\0") if len(name) <= 4 else element(1, name)
        numbers = element(NUMBERS[stored or kind], array.astype(stored or kind).tobytes(order="F"))
        content = element(14, flags + element(5, np.array(array.shape, "<i4").tobytes()) + small + numbers)
        file += struct.pack("<2I", 15, len(zipped := zlib.compress(content))) + zipped if packed else content
    return write(path, file)


def csv(path, table, names="", separator=","):
    rows = np.asarray(table, object).tolist()
    lines = ([names] if names else []) + [separator.join(map(str, row)) for row in rows]
    text = ("\n".join(lines) + "\n").encode()
    return write(path, gzip.compress(text) if path.suffix == ".gz" else text)


def cifar(folder, n=6):
    """Write a folder of CIFAR-10's binary version: the parts are alike but for their seeds."""
    folder.mkdir()
    for seed, name in enumerate(("data_batch_1", "data_batch_2", "test_batch")):
        records = np.c_[labels(n, seed), pixels((n, 3072), seed)].astype(np.uint8)
        write(folder / f"{name}.bin", records.tobytes())
    return folder


def pictures(folder, images, suffix=".png"):
    """Write color pictures; a JPEG is close to what was written, a PNG is it."""
    from matplotlib.image import imsave
    folder.mkdir(parents=True)
    for place, image in enumerate(images):
        imsave(folder / f"{place:03d}{suffix}", image)
    return folder


def gray_png(path, rows, bits=8, kind_of_color=0, more=()):
    """Write a PNG by hand, with more chunks, gray of one byte a pixel if not told otherwise."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    height, width = len(rows), rows[0].nbytes * 8 // bits // (3 if kind_of_color == 2 else 1)
    scanned = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">2I5B", width, height, bits, kind_of_color, 0, 0, 0)
    chunks = (b"IHDR", head), *more, (b"IDAT", zlib.compress(scanned)), (b"IEND", b"")
    return write(path, b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks))


def gray_folder(folder, images):
    folder.mkdir(parents=True)
    for place, image in enumerate(images):
        gray_png(folder / f"{place:03d}.png", image)
    return folder


def together(data):
    return np.concatenate([data.train, data.test])


# ---- what is found

@pytest.mark.parametrize("code, dtype", [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
@pytest.mark.parametrize("gz", [False, True])
def test_idx_files_of_every_element_type_are_read(tmp_path, code, dtype, gz):
    array = (pixels((20, 5, 4)) // 2).astype(dtype)
    content = idx(array, magic=256 * code + 3)
    same = idx(array[:6], magic=256 * code + 3)
    pack = gzip.compress if gz else bytes
    data = load_data(idx_folder(tmp_path / "set", gz, train_images=pack(content), t10k_images=pack(same)))
    np.testing.assert_array_equal(data.train, array.reshape(20, 20))
    assert data.train.dtype == (np.dtype(dtype).newbyteorder("=") if dtype[1] == "f" else np.uint8)


def emnist(folder, kinds=("letters",)):
    folder.mkdir()
    for kind, (part, n) in itertools.product(kinds, (("train", 20), ("test", 6))):
        stored = pixels((n, 5, 4), n).swapaxes(1, 2).copy()
        write(folder / f"emnist-{kind}-{part}-images-idx3-ubyte.gz", gzip.compress(idx(stored)))
        write(folder / f"emnist-{kind}-{part}-labels-idx1-ubyte.gz", gzip.compress(idx(labels(n, n))))
    return folder


def test_emnist_is_known_by_its_name_and_turned_upright(tmp_path):
    folder = emnist(tmp_path / "one")
    for source in (folder, folder / "emnist-letters-train-images-idx3-ubyte.gz"):
        data = load_data(source)
        assert data.name == "emnist-letters" and data.image_shape == (5, 4)
        np.testing.assert_array_equal(data.train, pixels((20, 5, 4), 20).reshape(20, 20))
        np.testing.assert_array_equal(data.test_labels, labels(6, 6))
    assert load_data(folder, transpose=False).image_shape == (4, 5)


def test_of_several_sets_in_a_folder_one_is_asked_for(tmp_path):
    folder = emnist(tmp_path / "two", ("letters", "digits"))
    assert "emnist-digits-, emnist-letters-" in refusal(folder)
    assert load_data(folder / "emnist-digits-train-images-idx3-ubyte.gz").name == "emnist-digits"


@pytest.mark.parametrize("names", [("x_train", "x_test", "y_train", "y_test"),
                                   ("X_train", "X_test", "y_train", "y_test"),
                                   ("train_images", "test_images", "train_labels", "test_labels"),
                                   ("train_data", "test_data", "train_labels", "test_labels"),
                                   ("data", "testdata", "targetchar", "testtargetchar")])
@pytest.mark.parametrize("kind", ["npz", "mat"])
def test_arrays_are_known_by_the_names_that_others_give_them(tmp_path, names, kind):
    arrays = dict(zip(names, (pixels((30, D)), pixels((25, D), 1), labels(30), labels(25, 1))))
    path = tmp_path / f"a.{kind}"
    if kind == "npz":
        np.savez(path, val_images=np.zeros((3, D)), **arrays)
    else:
        columns = {name: a.reshape(-1, 1) if a.ndim == 1 else a.T for name, a in arrays.items()}
        mat(path, notes=np.ones((2, 2)), **columns)
    data = load_data(path)
    for found, array in zip(data, arrays.values()):
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("names", [("images", "labels"), ("data", "label"), ("X", "y"), ("anything",), ("train",)])
def test_of_one_array_with_labels_rows_spread_over_all_are_held_out(tmp_path, names):
    X, y = pixels((40, D)), np.arange(40) // 4                          # sorted by label
    np.savez(tmp_path / "a.npz", **dict(zip(names, (X, y))))
    data = load_data(tmp_path / "a.npz")
    held = [0, 13, 26, 39] if len(names) > 1 else [36, 37, 38, 39]
    np.testing.assert_array_equal(data.test, X[held])
    np.testing.assert_array_equal(data.train, np.delete(X, held, axis=0))
    if len(names) > 1:
        np.testing.assert_array_equal(data.test_labels, y[held])
        np.testing.assert_array_equal(data.train_labels, np.delete(y, held))


@pytest.mark.parametrize("shape, image_shape", [((1, 6, 5), (6, 5)), ((6, 5, 1), (6, 5)), ((6, 5, 3), (6, 5, 3)),
                                                ((3, 6, 5), (6, 5, 3)), ((6, 5), (6, 5))])
def test_images_of_one_or_three_colors_are_read_with_the_colors_last(tmp_path, shape, image_shape):
    X = pixels((N, *shape))
    np.save(tmp_path / "a.npy", X)
    data = load_data(tmp_path / "a.npy")
    last = X.transpose(0, 2, 3, 1) if shape[0] == 3 else X
    assert data.image_shape == image_shape
    np.testing.assert_array_equal(together(data), last.reshape(N, -1))
    assert (mapping(data.train) is None) == (shape[0] == 3)


@pytest.mark.parametrize("shape", [(10, 8), (8, 10), (1, 80), (80, 1)])
@pytest.mark.parametrize("transpose", [False, True])
def test_flat_rows_are_images_of_the_shape_that_is_given(tmp_path, shape, transpose):
    images = pixels((N, *shape))
    np.save(tmp_path / "a.npy", (images.swapaxes(1, 2) if transpose else images).reshape(N, D))
    data = load_data(tmp_path / "a.npy", image_shape=shape, transpose=transpose)
    assert data.image_shape == shape
    np.testing.assert_array_equal(together(data), images.reshape(N, D))


@pytest.mark.parametrize("shape", [(10, 9), (80,), "10x8", (10, 8, 2), (0, 80), (10.0, 8), 80, (4, 4, 5)])
def test_an_image_shape_that_cannot_be_is_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", pixels((N, D)))
    for transpose in (None, True):
        with pytest.raises(ConfigurationError, match="image_shape is"):
            load_data(tmp_path / "a.npy", image_shape=shape, transpose=transpose)
    np.save(tmp_path / "a.npy", pixels((N, 8, 10)))
    with pytest.raises(ConfigurationError, match=r"of shape \(8, 10\)"):
        load_data(tmp_path / "a.npy", image_shape=(10, 8))


# ---- tables

NAMES = ",".join(f"pixel{place}" for place in range(64))


@pytest.mark.parametrize("names", ["", f"label,{NAMES}"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_table_of_kaggle_s_kind_has_its_label_first(tmp_path, names, name):
    X, y = pixels((N, 64)), labels(N)
    data = load_data(csv(tmp_path / name, np.c_[y, X], names))
    assert data.name == "a" and data.image_shape == (8, 8) and data.train.dtype == np.uint8
    np.testing.assert_array_equal(np.sort(together(data), axis=0), np.sort(X, axis=0))
    np.testing.assert_array_equal(data.test, X[[0, 19]])
    np.testing.assert_array_equal(data.test_labels, y[[0, 19]])


def test_a_label_in_the_last_column_is_found_where_the_first_is_the_same_everywhere(tmp_path):
    X, y = pixels((N, 64)), labels(N)
    X[:, 0] = 0
    np.testing.assert_array_equal(load_data(csv(tmp_path / "a.csv", np.c_[X, y])).test_labels, y[[0, 19]])


def test_a_table_for_training_finds_the_one_for_testing_with_or_without_labels(tmp_path):
    X, y = pixels((N, 64)), labels(N)
    path = csv(tmp_path / "mnist_train.csv", np.c_[y, X])
    csv(tmp_path / "mnist_test.csv", pixels((5, 64), 1))
    data = load_data(path)
    np.testing.assert_array_equal(data.train, X)
    np.testing.assert_array_equal(data.train_labels, y)
    np.testing.assert_array_equal(data.test, pixels((5, 64), 1))
    assert data.test_labels is None


@pytest.mark.parametrize("separator, name", [(",", "a.csv"), (";", "a.csv"), ("\t", "a.tsv"), (" ", "a.txt")])
def test_measurements_keep_the_names_of_their_columns(tmp_path, separator, name):
    X = np.random.default_rng(0).normal(size=(N, 4))
    data = load_data(csv(tmp_path / name, X, separator.join(("length", "width", "height", "weight")), separator))
    assert data.fields == ("length", "width", "height", "weight") and data.image_shape == (1, 4)
    np.testing.assert_array_equal(together(data), X)


@pytest.mark.parametrize("separator", [",", " ", "\t"])
def test_names_as_numpy_writes_them_are_names_and_tell_the_labels(tmp_path, separator):
    """`# label` was no label, and the labels were trained on as if they were data."""
    X, y = pixels((N, 4)), labels(N)
    np.savetxt(tmp_path / "a.csv", np.c_[y, X], delimiter=separator, header=separator.join(("label", *"abcd")))
    data = load_data(tmp_path / "a.csv")
    assert data.fields == tuple("abcd") and data.train.shape[1] == 4
    np.testing.assert_array_equal(data.test_labels, y[[0, 19]])


@pytest.mark.parametrize("names", [",length,width,height,weight", ',"length","width","height","weight"', ",0,1,2,3"])
def test_row_numbers_without_a_name_are_refused(tmp_path, names):
    """They became data: pandas and R write them unless they are told not to."""
    rows = np.c_[np.arange(N), np.random.default_rng(0).random((N, 4))]
    assert "index=False" in refusal(csv(tmp_path / "a.csv", [[int(row[0]), *row[1:]] for row in rows], names))


def test_names_that_count_the_columns_are_names(tmp_path):
    data = load_data(csv(tmp_path / "a.csv", pixels((N, 5)), "0,1,2,3,4"))
    assert len(together(data)) == N and data.fields == tuple("01234")
    for head, table, are_names in (("0,1", pixels((N, 2)) / 255, True), ("0,1,2", pixels((N, 3)) / 255, True),
                                   ("1,2", pixels((N, 2)) / 255, False), ("0,1", pixels((N, 2)), False),
                                   ("0", pixels((N, 1)) / 255, False), ("1,2,3,4", pixels((N, 4)), False),
                                   ("1,2,3,4", pixels((N, 4)) / 255, True),
                                   (",".join(map(str, range(1, 11))), pixels((N, 10)), True)):
        data = load_data(csv(tmp_path / "b.csv", table, head))
        assert len(together(data)) == N + (not are_names) and bool(data.fields) == are_names
    for rows, are_names in ((["0.5,0.25", "1e-05,2e-05", "nan,0.3"], True), (["1,0.5", "2,0.25", "3,0.2"], False)):
        write(tmp_path / "c.csv", "\n".join(["0,1", *rows]).encode())
        assert bool(load_data(tmp_path / "c.csv").fields) == are_names


def test_an_amat_file_of_0_and_1_is_of_floats(tmp_path):
    X = pixels((N, 64)) > 0
    data = load_data(csv(tmp_path / "binarized_mnist_train.amat", X.astype(int), separator=" "))
    assert data.train.dtype == np.float64
    np.testing.assert_array_equal(together(data), X)
    message = refusal(csv(tmp_path / "a.csv", X.astype(int)))
    assert "0 and 1" in message and "in text write 1.0 for 1" in message
    np.testing.assert_array_equal(together(load_data(csv(tmp_path / "a.csv", X.astype(float)))), X)
    assert "in text write 1.0 for 1" in refusal(csv(tmp_path / "a.csv", X - 1))


def test_a_table_longer_than_a_piece_is_read_whole(tmp_path):
    X = pixels((9000, 3))
    np.testing.assert_array_equal(together(load_data(csv(tmp_path / "a.csv", X))), X)


TABLE_FAULTS = {
    "nothing": ("", "holds no numbers"),
    "names alone": ("a,b,c\n", "below the names"),
    "a word": ("a,b\n1,2\n1,setosa\n", "'setosa' to float64 at line 2 of the numbers, column 2"),
    "a missing number": ("1,2\n1,\n", "''"),
    "a ragged line": ("1,2,3\n1,2\n", "columns changed from 3 to 2 at line 2 of the numbers"),
    "more names than numbers": ("a,b,c\n1,2\n2,3\n", "expected 3"),
    "binary": ("\x00\x01\x02\n1,2\n", "a.csv"),
    "large integers": ("1,2\n1,300\n", "300"),
    "very large integers": ("1,2\n1,999999999999999999999\n", "15 digits"),
    "one row": ("1.5,2\n", "one row"),
}


@pytest.mark.parametrize("fault", TABLE_FAULTS)
def test_a_fault_in_a_table_is_named(tmp_path, fault):
    text, word = TABLE_FAULTS[fault]
    message = refusal(write(tmp_path / "a.csv", text.encode()))
    assert word in message and "a.csv" in message


# ---- MATLAB

@pytest.mark.parametrize("packed", [False, True])
def test_examples_are_matlabs_columns_and_stay_mapped_where_nothing_is_packed(tmp_path, packed):
    X = pixels((N, D))
    data = load_data(mat(tmp_path / "frey_rawface.mat", packed, ff=X.T), image_shape=SHAPE)
    np.testing.assert_array_equal(together(data), X)
    assert (mapping(data.train) is None) == packed


@pytest.mark.parametrize("rows", [(N, 64), (64, N)])
def test_where_only_one_side_can_be_a_picture_it_is_one(tmp_path, rows):
    X = pixels((N, 64))
    data = load_data(mat(tmp_path / "a.mat", data=X if rows[0] == N else X.T))
    np.testing.assert_array_equal(together(data), X)


def test_the_last_axis_of_matlab_images_counts_them(tmp_path):
    X = pixels((N, 6, 5, 3))
    data = load_data(mat(tmp_path / "train_32x32.mat", X=np.moveaxis(X, 0, -1), y=labels(N)[:, None]))
    assert data.image_shape == (6, 5, 3) and len(data.test_labels) == 2
    np.testing.assert_array_equal(data.test, X[[0, 19]].reshape(2, -1))


def test_omniglot_s_columns_are_turned_upright_by_its_name(tmp_path):
    X = pixels((N, 8, 8))
    flat = X.swapaxes(1, 2).reshape(N, 64).T
    np.testing.assert_array_equal(load_data(mat(tmp_path / "chardata.mat", data=flat, testdata=flat)).train,
                                  X.reshape(N, 64))


def test_doubles_that_are_stored_as_bytes_are_doubles(tmp_path):
    X = pixels((N, D)) > 0
    data = load_data(mat(tmp_path / "a.mat", stored="u1", data=X.astype("f8").T), image_shape=SHAPE)
    assert data.train.dtype == np.float64
    np.testing.assert_array_equal(together(data), X)


def test_scipy_writes_what_is_read(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    held = {"long_name_of_an_array": pixels((N, D)).T, "cell": np.array([1, "a"], object), "text": "text",
            "struct": {"a": np.ones(3)}, "complex": np.ones((3, 3), complex), "truth": np.eye(3) > 0,
            "many": np.ones((2, 3, 4, 5), "i2")}
    for packed in (False, True):
        scipy_io.savemat(tmp_path / "a.mat", held, do_compression=packed)
        found = {}
        chosen = read_mat(tmp_path / "a.mat", lambda path, names: found.setdefault("names", names))
        assert found["names"] == ["long_name_of_an_array", "truth", "many"]
        for name, array in zip(found["names"], chosen):
            np.testing.assert_array_equal(array, held[name])
            assert array.dtype == held[name].dtype


def test_matlab_files_of_other_versions_are_refused_with_what_saves_them(tmp_path):
    for start in (b"MATLAB 7.3 MAT-file".ljust(512), b"\x89HDF\r\n\x1a\n".ljust(512), bytes(200), b""):
        assert "'-v7'" in refusal(write(tmp_path / "a.mat", start))


# ---- CIFAR and pictures

def test_cifar_s_planes_become_color_images(tmp_path):
    data = load_data(cifar(tmp_path / "cifar-10-batches-bin"))
    assert data.image_shape == (32, 32, 3) and data.train.shape == (12, 3072) and data.test.shape == (6, 3072)
    np.testing.assert_array_equal(data.test.reshape(6, 1024, 3)[..., 2], pixels((6, 3072), 2)[:, 2048:])
    np.testing.assert_array_equal(data.train_labels, np.r_[labels(6), labels(6, 1)])
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    assert "test_batch.bin" in refusal(tmp_path / "cifar-10-batches-bin")


def test_the_finer_labels_of_cifar_100_are_read(tmp_path):
    records = np.c_[labels(6, 5), labels(6), pixels((6, 3072))].astype(np.uint8).tobytes()
    for name in ("train.bin", "test.bin"):
        write(tmp_path / name, records)
    np.testing.assert_array_equal(load_data(tmp_path).train_labels, labels(6))


def test_gray_pictures_are_read_in_the_order_of_their_names(tmp_path):
    X = pixels((N, *SHAPE))
    data = load_data(gray_folder(tmp_path / "faces", X))
    assert data.name == "faces" and data.image_shape == SHAPE and data.train_labels is None
    np.testing.assert_array_equal(together(data), X.reshape(N, D))


@pytest.mark.parametrize("suffix, error", [(".png", 0), (".jpg", 30)])
def test_color_pictures_are_read_in_color(tmp_path, suffix, error):
    X = np.empty((N, 16, 8, 3), np.uint8)
    X[:] = np.linspace(0, 255, N)[:, None, None, None] * np.array([1, 0.5, 0.2])
    data = load_data(pictures(tmp_path / "faces", X, suffix))
    assert data.image_shape == (16, 8, 3)
    np.testing.assert_allclose(together(data), X.reshape(N, -1), atol=error)


@pytest.mark.parametrize("classes, numbers", [(("3", "7"), (3, 7)), (("cats", "dogs"), (0, 1))])
@pytest.mark.parametrize("parts", [("",), ("train", "test"), ("Train", "Test"), ("train", "val"),
                                   ("TRAINING", "Validation")])
def test_folders_of_pictures_are_classes(tmp_path, classes, numbers, parts):
    X = pixels((N, *SHAPE))
    for part in parts:
        for place, name in enumerate(classes):
            gray_folder(tmp_path / "set" / part / name, X[10 * place:10 * place + 10])
    gray_folder(tmp_path / "set" / parts[0] / ".checkpoints", X[:1])            # what other programs hide is no class
    write(tmp_path / "set" / parts[0] / "._0.png", b"no picture")
    data = load_data(tmp_path / "set")
    y = np.repeat(numbers, 10)
    if parts[1:]:
        np.testing.assert_array_equal(data.train, X.reshape(N, D))
        np.testing.assert_array_equal(data.test_labels, y)
    else:
        np.testing.assert_array_equal(data.test, X[[0, 19]].reshape(2, D))
        np.testing.assert_array_equal(data.test_labels, numbers)


def test_pictures_that_do_not_fit_together_are_refused_by_name(tmp_path, monkeypatch):
    folder = gray_folder(tmp_path / "set", pixels((3, *SHAPE)))
    gray_png(folder / "other.png", pixels((8, 10)))
    assert "other.png: 8 x 10 pixels, the first picture 10 x 8" in refusal(folder)
    write(folder / "other.png", b"no picture")
    assert "other.png" in refusal(folder)
    gray_folder(tmp_path / "stray" / "cats", pixels((3, *SHAPE)))
    gray_png(tmp_path / "stray" / "notes.png", pixels(SHAPE))
    assert "notes.png: a picture beside folders of pictures, such as cats" in refusal(tmp_path / "stray")
    pictures(tmp_path / "clear", np.full((2, *SHAPE, 4), 9, np.uint8))
    assert "transparent" in refusal(tmp_path / "clear")
    monkeypatch.setattr(picture_reader, "MOST_PIXELS", 8)
    assert "at most 8 pixels" in refusal(gray_folder(tmp_path / "large", pixels((2, *SHAPE))))


@pytest.mark.parametrize("bits, kind_of_color, more, refused", [
    (16, 0, [], True), (16, 2, [], True), (8, 0, [(b"tRNS", b"\0\7")], True), (8, 0, [(b"tRNS", b"\0\3")], False),
    (8, 3, [(b"PLTE", bytes(range(24))), (b"tRNS", b"\xff" * 7 + b"\0")], True),
    (8, 3, [(b"PLTE", bytes(range(24))), (b"tRNS", b"\xff" * 8)], False)])
def test_what_eight_bits_do_not_hold_is_refused(tmp_path, bits, kind_of_color, more, refused):
    """Samples of 16 bits, a transparent level of gray, a transparent color of a palette; unless no pixel has it."""
    for place in range(3):
        gray_png(tmp_path / f"{place}.png", np.full((6, 12), 7, np.uint8), bits, kind_of_color, more)
    if refused:
        assert ("16 bits" if bits == 16 else "expected gray or color of 8 bits") in refusal(tmp_path)
    else:
        assert load_data(tmp_path).image_shape[:2] == (6, 12)


@pytest.mark.parametrize("name", ["mnist.pkl.gz", "a.pickle", "a.pt"])
def test_pickles_are_refused_with_what_converts_them(tmp_path, name):
    message = refusal(write(tmp_path / name, b"cos\nsystem\n(S'true'\ntR."))
    assert name in message and "pickle.load" in message and "np.savez" in message


def test_where_there_is_a_test_part_a_validation_part_is_left_alone(tmp_path):
    for place, part in enumerate(("train", "valid", "test")):
        gray_folder(tmp_path / "set" / part, pixels((9 + place, *SHAPE), place))
    assert [len(rows) for rows in load_data(tmp_path / "set")[:2]] == [9, 11]


def test_cifar_s_pickles_are_refused(tmp_path):
    write(tmp_path / "batches.meta", b"")
    assert "pickled" in refusal(tmp_path)


# ---- damage, bombs

FORMATS = {                             # name: (write into a folder and return the file to damage, has it a checksum)
    "csv": (lambda folder: csv(folder / "a.csv", np.c_[labels(N), pixels((N, 64))]), False),
    "csv.gz": (lambda folder: csv(folder / "a.csv.gz", np.c_[labels(N), pixels((N, 64))]), True),
    "mat": (lambda folder: mat(folder / "a.mat", False, images=pixels((N, 64)).T), False),
    "mat, packed": (lambda folder: mat(folder / "a.mat", images=pixels((N, 64)).T), False),
    "cifar": (lambda folder: cifar(folder / "set", 2) / "data_batch_1.bin", False),
    "png": (lambda folder: gray_folder(folder / "set", pixels((3, *SHAPE))) / "000.png", True),
    "jpeg": (lambda folder: pictures(folder / "set", pixels((3, *SHAPE, 3)), ".jpg") / "000.jpg", False),
}


@pytest.mark.parametrize("what", FORMATS)
def test_damage_gives_valid_data_or_a_data_error_that_names_the_file(tmp_path, what):
    make, has_checksum = FORMATS[what]
    path = make(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_damage_is_noticed(path, path.parent if path.parent.name == "set" else path, has_checksum)


ZEROS = bytes(80_000_000)
BOMBS = {
    "mat": lambda folder: mat(folder / "a.mat", data=np.frombuffer(ZEROS, np.uint8).reshape(1000, -1)),
    "mat, unpacked": lambda folder: write(folder / "a.mat", mat(
        folder / "b.mat", False, data=np.ones((4, 4))).read_bytes().replace(struct.pack("<2i", 4, 4),
                                                                            struct.pack("<2i", 2**30, 2**30))),
    "csv, one line": lambda folder: write(folder / "a.csv.gz", gzip.compress(ZEROS)),
    "csv, many lines": lambda folder: write(folder / "a.csv.gz", gzip.compress((b"0," * 500 + b"0\n") * 8000)),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_is_refused_before_memory_is_taken(tmp_path, what):
    source = BOMBS[what](tmp_path)
    tracemalloc.start()
    refusal(source)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


# ---- what is shown and drawn

def test_data_show_says_what_was_understood_and_draws_it(capsys, tmp_path):
    path = csv(tmp_path / "faces.csv", np.c_[labels(N), pixels((N, D))], "label," + ",".join(f"p{k}" for k in range(D)))
    got = result(capsys, "data", "show", path, "--image-shape", "10x8", "--figure", tmp_path / "a.png")
    assert got["train"] == 18 and got["test"] == 2 and got["columns"] == D and got["image_shape"] == [10, 8]
    assert got["labels"] == sorted(set(labels(N).tolist())) and (tmp_path / "a.png").stat().st_size > 1000
    status, out, _ = command(capsys, "data", "show", path, "--figure", tmp_path / "a.png")
    assert status == 0 and "18 rows of 80 numbers" in out and "--image-shape says if they are" in out
    assert "gray levels" in out and "p0, p1" in out
    status, _, err = command(capsys, "data", "show", path, "--image-shape", "28")
    assert status == 2 and "--image-shape is [28]" in err
    status, _, err = command(capsys, "data", "show", path, "--image-shape", "wide")
    assert status == 2 and "'wide' is no shape; expected rows x columns, as in 28x20" in err


def test_a_run_keeps_the_shape_of_its_images_and_pictures_can_be_drawn_in_another(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "draw", lambda *_: [])
    np.save(tmp_path / "faces.npy", pixels((N, D)))
    run = tmp_path / "run"
    words = ["train", "--data", tmp_path / "faces.npy", "--image-shape", "10x8", "--hidden", 4, "--latent", 2,
             "--batch-size", 6, "--epochs", 1]
    result(capsys, *words, "--out", run)
    result(capsys, "train", "--resume", "--epochs", 2, "--out", run)
    pictures = []
    for shape in ([], [], ["--image-shape", "4x20"]):
        result(capsys, "sample", run, "--n", 4, *shape)
        pictures.append((run / "figures" / "samples.png").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]
    result(capsys, *words, "--transpose", "--out", tmp_path / "turned")
    turned = Run.open(tmp_path / "turned").load_data().train.reshape(-1, *SHAPE)
    np.testing.assert_array_equal(turned.swapaxes(1, 2).reshape(-1, D), Run.open(run).load_data().train)


def test_evaluate_takes_other_data_as_they_are_and_not_as_the_run_s_were(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "draw", lambda *_: [])
    images = pixels((N, *SHAPE)) // 8
    np.save(tmp_path / "columns.npy", images.swapaxes(1, 2))
    np.save(tmp_path / "rows.npy", images)
    run = tmp_path / "run"
    result(capsys, "train", "--data", tmp_path / "columns.npy", "--transpose", "--hidden", 4, "--latent", 2,
           "--batch-size", 6, "--epochs", 1, "--out", run)
    measure = "evaluate", run, "--importance-samples", 2
    losses = [result(capsys, *measure, *words)["elbo"] for words in (
        [], ["--data", tmp_path / "rows.npy"], ["--data", tmp_path / "columns.npy", "--transpose"])]
    assert losses[0] == losses[1] == losses[2]
    (tmp_path / "columns.npy").rename(tmp_path / "moved.npy")                   # the run's own are read as they were
    assert result(capsys, *measure, "--data", tmp_path / "moved.npy")["elbo"] == losses[0]


def test_color_is_drawn_in_color_and_a_missing_number_in_red(tmp_path):
    np.save(tmp_path / "a.npy", np.tile(np.array([1.0, 0.5, 0.0]), (N, 6, 5, 1)))
    data = load_data(tmp_path / "a.npy")
    figure = sample_figure(VAE(90, 2, hidden=(3,)), data, 4, 0)
    assert figure.axes[0].images[0].get_array().shape[2] == 3
    data = data._replace(test=data.test.copy())
    data.test[0, 0] = np.nan
    figure = reconstruction_figure(type("Exact", (), {"n_visible": 90, "reconstruct": lambda self, X: X})(), data, 1)
    drawn = figure.axes[0].images[0].get_array()
    colors = {tuple(color) for color in np.round(drawn.reshape(-1, 3), 3).tolist()}
    assert colors == {(1.0, 0.5, 0.0), (1.0, 1.0, 1.0), (0.549, 0.176, 0.016)}


def test_the_columns_of_a_table_are_named_below_its_curves(tmp_path):
    X = np.random.default_rng(0).normal(size=(N, 4))
    data = load_data(csv(tmp_path / "a.csv", X, "length,width,height,weight"))
    figure = sample_figure(VAE(4, 2, hidden=(3,), likelihood="gaussian"), data, 4, 0)
    assert "length, width, height, weight from left to right" in " ".join(figure.axes[0].get_xlabel().split())


def one_a_class(folder, names):
    """Save one picture a class, in a folder of its name."""
    for name in names:
        gray_folder(folder / name, pixels((1, 8, 8)))


def test_classes_are_numbered_alike_in_both_parts_and_never_merged(tmp_path):
    one_a_class(tmp_path / "two" / "train", ("cat", "dog", "emu"))
    one_a_class(tmp_path / "two" / "test", ("dog", "emu"))
    data = load_data(tmp_path / "two")
    assert data.train_labels.tolist() == [0, 1, 2] and data.test_labels.tolist() == [1, 2]
    for k, (names, numbers) in enumerate(((("1", "2", "background"), [0, 1, 2]), (("01", "1", "cat"), [0, 1, 2]),
                                         (("5", "3"), [3, 5]), ((str(10**20), "3"), [0, 1]))):
        one_a_class(tmp_path / str(k), names)
        data = load_data(tmp_path / str(k))
        assert sorted([*data.train_labels, *data.test_labels]) == numbers


def test_a_test_table_is_read_as_its_training_table_is(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (30, 64))
    path = csv(tmp_path / "a_train.csv", np.column_stack([np.arange(30) % 5, pixels]))
    csv(tmp_path / "a_test.csv", np.column_stack([np.full(30, 3), pixels]))         # constant
    data = load_data(path)
    assert (data.test_labels == 3).all() and np.array_equal(data.test, pixels)
    rows = [(k, k + 100.5, k % 3) for k in range(20)]
    path = csv(tmp_path / "b_train.csv", rows, "a,b,label")
    csv(tmp_path / "b_test.csv", [row[::-1] for row in rows], "label,b,a")
    data = load_data(path)
    assert data.fields == ("a", "b") and np.array_equal(data.test, data.train) and (
        data.test_labels == data.train_labels).all()
    csv(tmp_path / "b_test.csv", [row[:2] for row in rows], "a,b")
    assert load_data(path).test_labels is None
    for head, words in (("a,c,label", "columns a, c, label; those of b_train.csv are a, b, label"),
                        ("a,b,c,label", "Give both the same")):
        csv(tmp_path / "b_test.csv", [[1.5] * len(head.split(","))] * 3, head)
        with pytest.raises(DataError, match=words):
            load_data(path)


def test_only_whole_numbers_under_a_name_of_theirs_are_labels(tmp_path):
    rows = [(k + 0.5, k, k + 0.25) for k in range(20)]
    assert load_data(csv(tmp_path / "points.csv", rows, "x,y,z")).fields == ("x", "y", "z")
    assert load_data(csv(tmp_path / "price.csv", rows, "a,b,target")).fields == ("a", "b", "target")
    assert load_data(csv(tmp_path / "class.csv", rows, "a,class,b")).fields == ("a", "b")
    for name, head, given, words in (("wrong", "a,b,label", rows, "'label' is not of whole numbers"),
                                     ("alone", "label", [(k,) for k in range(9)], "'label' alone"),
                                     ("large", "a,label", [(k + 0.5, 2**53 + 2 * k) for k in range(9)], "15 digits")):
        with pytest.raises(DataError, match=words):
            load_data(csv(tmp_path / f"{name}.csv", given, head))


def test_names_may_be_quoted_and_the_separator_is_not_looked_for_in_them(tmp_path):
    (tmp_path / "a.csv").write_text('"height, cm","a ""big"" one"\n' + "1.5,2\n" * 9)
    (tmp_path / "a.tsv").write_text("weight, kg\theight\n" + "1.5\t2\n" * 9)
    assert load_data(tmp_path / "a.csv").fields == ("height, cm", 'a "big" one')
    assert load_data(tmp_path / "a.tsv").fields == ("weight, kg", "height")
    with gzip.open(tmp_path / "b.CSV.GZ", "wt") as file:
        file.write("a,b\n" + "1.5,2\n" * 9)
    assert load_data(tmp_path / "b.CSV.GZ").name == "b"
    for text, words in (("1,5;2,0\n" * 9, "'1,5' to float64 at line 1"), ("a,b\r1.5,2\r", "carriage return alone")):
        (tmp_path / "c.csv").write_bytes(text.encode())
        with pytest.raises(DataError, match=words):
            load_data(tmp_path / "c.csv")
