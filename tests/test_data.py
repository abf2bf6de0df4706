"""The bundled sets are what they say; every reader gives valid data, or names the file and the fault."""
import gzip
import hashlib
import io
import mmap
import os
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from scratchvae.data import loading
from scratchvae.data.loading import BUNDLED, DATASETS, load_data
from scratchvae.errors import ConfigurationError, DataError
from scratchvae.storage import readers

SIDES = {"train": (20, 5, 4), "t10k": (6, 5, 4)}
ROUNDS = 300                    # damaged copies a format


def pixels(shape, seed=0):
    """Half zeros, so that they deflate a little."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, shape, dtype=np.uint8) * rng.integers(0, 2, shape, dtype=np.uint8)


def labels(n, seed=0):
    return np.random.default_rng(seed).integers(0, 10, n, dtype=np.uint8)


def idx(array, magic=None, shape=None):
    """The bytes of an IDX file of `array`; magic and shape replace what its header should say."""
    shape = array.shape if shape is None else shape
    return struct.pack(f">{len(shape) + 1}I", magic or 2048 + array.ndim, *shape) + array.tobytes()


def idx_folder(folder, gz=False, **replaced):
    """Write the four files, or the bytes given for, say, train_images or t10k_labels (None: no such file)."""
    folder.mkdir()
    pack = gzip.compress if gz else bytes
    for seed, (part, shape) in enumerate(SIDES.items()):
        for kind, array in (("images", pixels(shape, seed)), ("labels", labels(shape[0], seed))):
            content = replaced.get(f"{part}_{kind}", pack(idx(array)))
            if content is not None:
                (folder / f"{part}-{kind}-idx{array.ndim}-ubyte{'.gz' * gz}").write_bytes(content)
    return folder


def npz(path, write=np.savez_compressed, **arrays):
    write(path, **{"train": pixels((20, 5, 4)), "test": pixels((6, 5, 4), 1), **arrays})
    return path


def npy(path, array):
    np.save(path, array)
    return path


def write(path, content):
    path.write_bytes(content)
    return path


def npy_header(descr, shape, fortran="False"):
    """The start of an .npy file, with any text as dtype and shape."""
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def array_bytes(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def refusal(source, kind=DataError):
    """The message with which load_data refuses; one line that ends with a sentence."""
    with pytest.raises(kind) as caught:
        load_data(source)
    message = str(caught.value)
    assert "\n" not in message and message.endswith((".", ")"))
    return message


def mapping(array):
    """The memory map that an array is a view of, or None."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array


# ---- the bundled sets

@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_files_have_the_checksums_that_their_readme_states(name):
    digest = hashlib.sha256((DATASETS / f"{name}.npz").read_bytes()).hexdigest()
    assert re.search(rf"`{name}\.npz`.*`{digest}`", (DATASETS / "README.md").read_text(encoding="utf-8"))


def test_mnist5k_is_4000_and_1000_gray_digits_with_as_many_of_each():
    data = load_data("mnist5k")
    assert data.name == "mnist5k" and data.image_shape == (28, 28)
    assert data.train.shape == (4000, 784) and data.test.shape == (1000, 784)
    assert data.train.dtype == data.test.dtype == np.uint8 and data.train.max() == data.test.max() == 255
    assert np.bincount(data.train_labels).tolist() == [400] * 10
    assert np.bincount(data.test_labels).tolist() == [100] * 10
    sums = [int(part.astype(np.int64).sum()) for part in (data.train, data.test)]
    assert sums == [105_188_433, 26_078_669]


def test_digits_is_1438_and_359_images_in_sixteenths():
    data = load_data("digits")
    assert data.name == "digits" and data.image_shape == (8, 8)
    assert repr(data) == "<Dataset 'digits': 1,438 training and 359 held-out rows of 64 float32 numbers, with labels>"
    assert data.train.shape == (1438, 64) and data.test.shape == (359, 64)
    assert data.train.dtype == data.test.dtype == np.float32
    assert np.array_equal(np.unique(data.train), np.arange(17) / 16)
    counts = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    assert np.array_equal(np.bincount(data.train_labels), np.rint(0.8 * counts))
    assert np.array_equal(np.bincount(data.test_labels), counts - np.rint(0.8 * counts))


@pytest.mark.parametrize("name", BUNDLED)
def test_no_bundled_image_is_in_both_parts_or_there_twice(name):
    data = load_data(name)
    rows = [row.tobytes() for row in (*data.train, *data.test)]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("name", BUNDLED)
def test_labels_are_mixed_so_that_any_stretch_of_200_rows_holds_every_digit(name):
    data = load_data(name)
    for part in (data.train_labels, data.test_labels):
        assert part.dtype == np.int64
        assert all(len(set(part[i:i + 200])) == 10 for i in range(0, len(part) - 199, 50))


@pytest.mark.parametrize("name", BUNDLED)
def test_labels_belong_to_their_images(name):
    """The nearest class mean is right for 3 test images in 4; with labels out of place for 1 in 10."""
    data = load_data(name)
    means = np.stack([data.train[data.train_labels == k].mean(0) for k in range(10)])
    distance = ((data.test[:, None, :] - means) ** 2).sum(2)
    assert np.mean(distance.argmin(1) == data.test_labels) > 0.75


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_images_are_upright(name):
    """Row by row and unmirrored: a 7 has its bar in the upper half, and a 4 its stem on the right below."""
    data = load_data(name)
    images = data.train.reshape(-1, *data.image_shape)
    side = data.image_shape[0] // 2
    seven = images[data.train_labels == 7].mean(0)
    four = images[data.train_labels == 4].mean(0)
    assert seven[:side].sum() > 1.1 * seven[side:].sum()
    assert four[-side // 2:, side:].sum() > 1.2 * four[-side // 2:, :side].sum()


# ---- valid files

@pytest.mark.parametrize("gz", [False, True])
def test_an_idx_folder_loads_as_written(tmp_path, gz):
    data = load_data(idx_folder(tmp_path / "my.set", gz))
    assert data.name == "my.set" and data.image_shape == (5, 4)
    assert np.array_equal(data.train, pixels((20, 5, 4)).reshape(20, 20))
    assert np.array_equal(data.test, pixels((6, 5, 4), 1).reshape(6, 20))
    assert np.array_equal(data.train_labels, labels(20)) and np.array_equal(data.test_labels, labels(6, 1))
    assert (mapping(data.train) is None) == gz


def test_idx_labels_may_be_missing_and_names_may_have_a_dot(tmp_path):
    folder = idx_folder(tmp_path / "set", train_labels=None, t10k_labels=None)
    (folder / "train-images-idx3-ubyte").rename(folder / "train-images.idx3-ubyte")
    data = load_data(str(folder))
    assert data.train_labels is None and data.test_labels is None and data.train.shape == (20, 20)


def test_the_content_of_an_idx_file_says_whether_it_is_gzipped_not_its_name(tmp_path):
    folder = idx_folder(tmp_path / "set", gz=True, train_images=idx(pixels((20, 5, 4))))
    assert np.array_equal(load_data(folder).train, pixels((20, 5, 4)).reshape(20, 20))


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", ">f4", ">f8"])
@pytest.mark.parametrize("order", "CF")
def test_an_npz_loads_as_written(tmp_path, write, dtype, order):
    rng = np.random.default_rng(0)
    train, test = (np.asarray(255 * rng.random((n, 5, 4)), dtype, order=order) for n in (20, 6))
    numbers = np.arange(20) - 1
    path = npz(tmp_path / "a.npz", write, train=train, test=test, train_labels=numbers, extra=train)
    data = load_data(path)
    assert data.name == "a" and data.image_shape == (5, 4) and data.test_labels is None
    assert np.array_equal(data.train, train.reshape(20, 20))
    assert np.array_equal(data.test, test.reshape(6, 20))
    assert data.train.dtype == np.dtype(dtype).newbyteorder("=")
    assert data.train_labels.dtype == np.int64 and np.array_equal(data.train_labels, numbers)
    assert data.train.flags.c_contiguous and data.train.flags.aligned and type(data.train) is np.ndarray


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", ">f4"])
@pytest.mark.parametrize("order", "CF")
def test_an_npy_loads_as_written_and_is_mapped_when_nothing_has_to_be_converted(tmp_path, dtype, order):
    array = np.asarray(255 * np.random.default_rng(0).random((50, 3, 4, 1)), dtype, order=order)
    data = load_data(npy(tmp_path / "a.npy", array))
    assert np.array_equal(np.concatenate([data.train, data.test]), array.reshape(50, 12))
    assert data.train.shape == (45, 12) and data.image_shape == (3, 4)
    if order == "C" and dtype != ">f4":
        assert mapping(data.train) is not None and mapping(data.train) is mapping(data.test)
        assert not data.train.flags.writeable
    assert data.train.flags.c_contiguous and data.train.dtype.isnative and type(data.train) is np.ndarray


def test_rows_in_fortran_order_or_at_an_odd_address_are_made_fit_for_the_kernels(tmp_path):
    rows = np.random.default_rng(0).random((50, 6))
    odd = npy_header("'<f8'", (50, 6))
    assert len(odd) % 8
    fortran = array_bytes(np.asfortranarray(rows))
    for name, content in (("a.npy", fortran), ("b.npy", odd + rows.tobytes())):
        data = load_data(write(tmp_path / name, content))
        assert np.array_equal(np.concatenate([data.train, data.test]), rows)
        assert data.train.flags.c_contiguous and data.train.flags.aligned


@pytest.mark.parametrize("n, held_out", [(2, 1), (19, 1), (20, 2), (100_000, 10_000), (200_000, 10_000)])
def test_an_npy_holds_out_its_last_tenth_but_at_most_10000_rows(tmp_path, n, held_out):
    rows = np.arange(2 * n, dtype=np.float64).reshape(n, 2)
    data = load_data(npy(tmp_path / "a.npy", rows))
    assert len(data.test) == held_out and np.array_equal(data.test, rows[n - held_out:])
    assert np.array_equal(data.train, rows[:n - held_out])


@pytest.mark.parametrize("shape, image_shape", [((4, 5, 3), (5, 3)), ((4, 5, 3, 1), (5, 3)),
                                                ((4, 16), (4, 4)), ((4, 15), (1, 15)), ((4, 1), (1, 1))])
def test_the_image_shape_is_the_array_s_or_a_square_of_its_columns(tmp_path, shape, image_shape):
    data = load_data(npy(tmp_path / "a.npy", np.ones(shape, np.float32)))
    assert data.image_shape == image_shape and data.train.shape == (3, np.prod(shape[1:]))


def test_bool_becomes_0_and_255_and_wide_integers_become_bytes(tmp_path):
    gray = pixels((20, 9)).astype(np.int64)
    for array, expected in ((gray > 127, 255 * (gray > 127)), (gray, gray), (gray.astype(">u2"), gray)):
        data = load_data(npy(tmp_path / "a.npy", array))
        assert data.train.dtype == np.uint8
        assert np.array_equal(np.concatenate([data.train, data.test]), expected)


def test_nan_and_infinity_stay_visible(tmp_path):
    array = np.ones((10, 4), np.float32)
    array[0, 1], array[9, 2] = np.nan, np.inf
    data = load_data(npy(tmp_path / "a.npy", array))
    assert np.isnan(data.train[0, 1]) and np.isinf(data.test[0, 2])
    data = load_data(npz(tmp_path / "a.npz", train=array, test=array))
    assert np.isnan(data.train[0, 1]) and np.isinf(data.test[9, 2])


@pytest.mark.parametrize("value", [0, 255])
def test_constant_images_are_legal(tmp_path, value):
    flat = np.full((500, 784), value, np.uint8)         # deflates by more than 250: small files may
    packed = gzip.compress(idx(flat.reshape(500, 28, 28)))
    folder = idx_folder(tmp_path / "set", gz=True, train_images=packed, t10k_images=packed,
                        train_labels=None, t10k_labels=None)
    assert np.array_equal(load_data(folder).train, flat)
    assert np.array_equal(load_data(npz(tmp_path / "a.npz", train=flat, test=flat)).test, flat)


def test_a_large_file_is_mapped_not_read(tmp_path):
    path, shape = tmp_path / "large.npy", (1 << 18, 1024)
    header = npy_header("'|u1'", shape)
    with open(path, "wb") as file:                      # 256 MiB, for which Windows makes room
        file.write(header)
        file.truncate(len(header) + (1 << 28))
    tracemalloc.start()
    data = load_data(path)
    assert data.train.shape == ((1 << 18) - 10_000, 1024) and data.test.shape == (10_000, 1024)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


# ---- refusals: names and paths

@pytest.mark.parametrize("source", ["mnits", "", "a\0b"])
def test_an_unknown_name_lists_the_known_ones_and_says_that_paths_work_too(source):
    message = refusal(source, ConfigurationError)
    assert all(name in message for name in BUNDLED) and ".npz" in message and "IDX" in message


@pytest.mark.parametrize("source", [3, None, b"mnist5k", np.zeros((2, 2)), ["mnist5k"]])
def test_a_source_that_is_no_path_is_refused_by_its_type(source):
    assert f"source is {type(source).__name__}" in refusal(source, ConfigurationError)


@pytest.mark.parametrize("name", ["no/such/folder", "missing.npz", "missing.npy"])
def test_a_missing_path_is_named(name):
    assert name in refusal(name) and "no such file" in refusal(name)


def test_a_path_that_cannot_be_looked_up_is_refused(tmp_path):
    message = refusal(tmp_path / ("a" * 5000))
    assert "cannot be looked up" in message or "no such file" in message    # the latter from Python 3.14 on


def test_an_unsupported_suffix_or_a_special_file_is_refused_with_what_is_taken(tmp_path):
    (tmp_path / "a.xls").write_text("1,2\n")
    assert "a.xls" in refusal(tmp_path / "a.xls") and ".npz" in refusal(tmp_path / "a.xls")
    if hasattr(os, "mkfifo"):                           # to open a pipe would wait for ever
        os.mkfifo(tmp_path / "pipe.npy")
        assert "pipe.npy" in refusal(tmp_path / "pipe.npy")


def test_a_folder_without_images_says_what_was_looked_for(tmp_path):
    message = refusal(tmp_path)
    assert str(tmp_path) in message and "train-images-idx3-ubyte.gz" in message
    idx_folder(tmp_path / "set", t10k_images=None)
    assert "t10k-images-idx3-ubyte.gz" in refusal(tmp_path / "set")


def test_a_file_that_may_not_be_opened_is_refused(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")
    monkeypatch.setattr(readers, "open", refuse, raising=False)
    path = npy(tmp_path / "a.npy", np.ones((9, 9)))
    assert "a.npy" in refusal(path) and "Permission denied" in refusal(path)


# ---- refusals: IDX

IMAGES = idx(pixels(SIDES["train"]))
IDX_FAULTS = {
    "labels where images belong": ({"train_images": idx(labels(20))},
                                   ["train-images", "2049", "file of labels", "2051"]),
    "images where labels belong": ({"t10k_labels": IMAGES},
                                   ["t10k-labels", "2051", "file of images", "2049"]),
    "a web page": ({"train_images": b"<!DOCTYPE html>"}, ["train-images", "magic number", "<!DO"]),
    "an unknown element type": ({"train_images": idx(pixels((2, 2, 2)), magic=0x0A03)}, ["2563", "type code"]),
    "fewer bytes than its type takes": ({"train_images": idx(pixels((2, 2, 2)), magic=0x0D03)},
                                        ["cut short", "take 32 bytes", "8 follow"]),
    "an empty file": ({"train_images": b""}, ["train-images", "b''"]),
    "an end in the magic number": ({"train_images": IMAGES[:3]}, ["train-images", "magic number"]),
    "an end in the header": ({"train_images": IMAGES[:11]}, ["train-images", "ends inside its header"]),
    "an end in the images": ({"train_images": IMAGES[:-1]},
                             ["cut short", "20 images of 5 x 4", "400", "399"]),
    "trailing bytes": ({"train_images": IMAGES + b"\0"}, ["too long", "400", "401"]),
    "a header that promises more": ({"train_images": idx(pixels((20, 5, 4)), shape=(21, 5, 4))},
                                    ["21 images", "420"]),
    "no images": ({"train_images": idx(pixels((0, 5, 4)))}, ["empty", "0 images of 5 x 4"]),
    "images without pixels": ({"t10k_images": idx(pixels((6, 0, 4)))}, ["t10k-images", "empty"]),
    "other test images": ({"t10k_images": idx(pixels((6, 4, 5)))}, ["5 x 4", "4 x 5", "same size"]),
    "too few labels": ({"train_labels": idx(labels(19))}, ["training labels", "19 labels for 20 images"]),
    "too many test labels": ({"t10k_labels": idx(labels(7))}, ["test labels", "7 labels for 6 images"]),
    "bytes of 0 and 1": ({"train_images": idx(pixels((20, 5, 4)) % 2)}, ["0 and 1", "bool"]),
}


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("fault", IDX_FAULTS)
def test_an_idx_fault_is_named(tmp_path, fault, gz):
    replaced, words = IDX_FAULTS[fault]
    if gz:
        replaced = {part: gzip.compress(content) for part, content in replaced.items()}
    message = refusal(idx_folder(tmp_path / "set", gz, **replaced))
    assert str(tmp_path / "set") in message
    assert not [word for word in words if word not in message], message


def test_a_truncated_gzip_file_is_refused_wherever_it_ends(tmp_path):
    packed = gzip.compress(IMAGES)
    folder = idx_folder(tmp_path / "set", gz=True)
    path = folder / "train-images-idx3-ubyte.gz"
    for end in range(len(packed)):
        path.write_bytes(packed[:end])
        assert path.name in refusal(folder)


@pytest.mark.parametrize("place, word", [(-8, "CRC"), (-1, "length"), (-200, "damaged")])
def test_a_gzip_file_with_a_wrong_checksum_or_length_or_body_is_refused(tmp_path, place, word):
    packed = bytearray(gzip.compress(IMAGES))
    packed[place] ^= 0x10
    message = refusal(idx_folder(tmp_path / "set", gz=True, train_images=bytes(packed)))
    assert word in message and "train-images-idx3-ubyte.gz" in message


def test_bytes_after_the_gzip_stream_are_refused(tmp_path):
    packed = gzip.compress(IMAGES) + b"more"
    assert "damaged" in refusal(idx_folder(tmp_path / "set", gz=True, train_images=packed))


# ---- refusals: npz and npy

def test_an_npz_without_train_and_test_lists_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.ones((4, 4)), train=np.ones((4, 4)))
    message = refusal(tmp_path / "a.npz")
    assert "'test'" in message and "'images', 'train'" in message
    np.savez(tmp_path / "a.npz")
    assert "holds nothing" in refusal(tmp_path / "a.npz")


ARRAY_FAULTS = {
    "pickled objects": (np.array([[{}, 1]] * 3, dtype=object), ["pickled", "never loaded"]),
    "complex numbers": (np.ones((3, 4), complex), ["<c16", "float32"]),
    "text": (np.array([["a", "b"]] * 3), ["<U1"]),
    "fields": (np.zeros(3, [("a", int), ("b", float)]), ["several fields"]),
    "negative integers": (np.full((3, 4), -1), ["int64", "-1", "0..255"]),
    "integers above 255": (np.full((3, 4), 256), ["256", "0..255"]),
    "bytes of 0 and 1": (np.eye(4, dtype=np.uint8), ["0 and 1", "bool"]),
    "integers of 0 and 1": (np.eye(4, dtype=np.int32), ["0 and 1", "bool"]),
    "a vector": (np.ones(7), ["(7,)", "(n, D)"]),
    "a number": (np.ones(()), ["shape", "(n, D)"]),
    "two colors": (np.ones((3, 4, 4, 2)), ["(3, 4, 4, 2)", "reshape"]),
    "five axes": (np.ones((3, 4, 4, 3, 1)), ["shape", "(n, D)"]),
    "no rows": (np.ones((0, 4)), ["empty", "(0, 4)"]),
    "no columns": (np.ones((4, 0)), ["empty", "(4, 0)"]),
}


@pytest.mark.filterwarnings("ignore:.*pickle")
@pytest.mark.parametrize("fault", ARRAY_FAULTS)
def test_an_array_that_is_no_images_is_refused(tmp_path, fault):
    array, words = ARRAY_FAULTS[fault]
    for message in (refusal(npz(tmp_path / "a.npz", train=array)),
                    refusal(npz(tmp_path / "a.npz", test=array)),
                    refusal(npy(tmp_path / "a.npy", array))):
        assert str(tmp_path / "a.np") in message
        assert not [word for word in words if word not in message], message


NPZ_FAULTS = {
    "other sizes": ({"test": pixels((6, 4, 5))}, ["5 x 4", "4 x 5"]),
    "rows and images": ({"test": pixels((6, 20))}, ["5 x 4", "1 x 20"]),
    "other dtypes": ({"test": np.ones((6, 5, 4), np.float32)}, ["uint8", "float32", "one dtype"]),
    "label count": ({"train_labels": labels(3)}, ["training labels", "3 labels for 20"]),
    "test label count": ({"test_labels": labels(3)}, ["test labels", "3 labels for 6"]),
    "float labels": ({"train_labels": np.full(20, 0.5)}, ["training labels", "float64", "class number"]),
    "labels without a number": ({"train_labels": np.full(20, np.nan)}, ["training labels", "whole numbers"]),
    "endless labels": ({"train_labels": np.full(20, np.inf)}, ["training labels", "inf", "2**63"]),
    "labels beyond int64": ({"test_labels": np.full(6, -1e300)}, ["test labels", "-1e+300", "2**63"]),
    "labels as text": ({"train_labels": np.full(20, "7")}, ["train_labels", "<U1", ".astype(float)"]),
    "label columns": ({"train_labels": np.ones((20, 10), int)}, ["training labels", "(20, 10)"]),
    "huge labels": ({"test_labels": np.full(6, 2**64 - 1, np.uint64)},
                    ["test labels", "18446744073709551615"]),
}


@pytest.mark.parametrize("written", [labels(20), labels(20).astype("int64"), labels(20).astype(">f4"),
                                     labels(20)[:, None], labels(20) * -1.0, labels(20) > 4])
def test_labels_are_whole_numbers_of_any_dtype_one_an_image(tmp_path, written):
    data = load_data(npz(tmp_path / "a.npz", train_labels=written))
    assert data.train_labels.dtype == np.int64 and data.train_labels.shape == (20,)
    assert np.array_equal(data.train_labels, written.ravel())


@pytest.mark.parametrize("fault", NPZ_FAULTS)
def test_arrays_of_an_npz_that_do_not_fit_together_are_refused(tmp_path, fault):
    arrays, words = NPZ_FAULTS[fault]
    message = refusal(npz(tmp_path / "a.npz", **arrays))
    assert not [word for word in ["a.npz", *words] if word not in message], message


ONES = np.ones((4, 4))
BAD_NPY = {
    "nothing": (b"", "NUMPY"),
    "an unknown version": (b"\x93NUMPY\4\0" + array_bytes(ONES)[8:], "version"),
    "an end in the header": (array_bytes(ONES)[:60], "header is damaged or cut short"),
    "a header of 4 GB": (b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(20_000), "4,294,967,295"),
    "an end in the array": (array_bytes(ONES)[:-1], "cut short"),
    "trailing bytes": (array_bytes(ONES) + b"\0", "too long"),
    "a negative side": (npy_header("'<f8'", "(-4, 4)") + bytes(128), "header"),
    "a side of 40 digits": (npy_header("'<f8'", f"({'9' * 40}, 4)"), "header"),
    "sides with nothing between": (npy_header("'<f8'", "(4,, 4)") + bytes(128), "shape"),
    "a text that never ends": (npy_header("'<f8", "(4, 4)") + bytes(128), "header"),
    "a list as a key": (npy_header("'<f8'", "({[]: 1}, 4)") + bytes(128), "header"),
    "thousands of signs": (npy_header("'<f8'", f"({'-' * 9000}4, 4)") + bytes(128), "header"),
    "hundreds of brackets": (npy_header("'<f8'", f"({'(' * 300}4, 4)") + bytes(128), "header"),
    "truth for a side": (npy_header("'<f8'", "(True, 4)") + bytes(1), "cut short"),
    "code for a dtype": (npy_header("__import__('os').system('true')", "(4, 4)"), "dtype"),
    "a wide dtype": (npy_header("'|V9999999999'", "(4, 4)"), "V9999999999"),
    "objects by header": (npy_header("'|O'", "(4, 4)") + b"cos\nsystem\n(S'true'\ntR.", "pickled"),
}


@pytest.mark.parametrize("fault", BAD_NPY)
def test_a_damaged_npy_is_refused_alone_and_inside_an_npz(tmp_path, fault):
    content, word = BAD_NPY[fault]
    (tmp_path / "a.npy").write_bytes(content)
    assert word in refusal(tmp_path / "a.npy")
    message = refusal(zipped(tmp_path / "a.npz", train=array_bytes(ONES), test=content))
    assert word in message and "a.npz, array 'test'" in message


def test_an_npy_needs_a_row_to_hold_out(tmp_path):
    assert "one row" in refusal(npy(tmp_path / "a.npy", np.ones((1, 4))))


def test_a_file_that_is_no_zip_archive_or_is_encrypted_or_packed_otherwise_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(array_bytes(ONES))
    assert "damaged" in refusal(path) and "a.npz" in refusal(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name in ("train.npy", "test.npy"):
            archive.writestr(name, array_bytes(ONES))
    assert "zip method 14" in refusal(path)
    content = bytearray(npz(path).read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1          # the directory's "encrypted" bit
    path.write_bytes(content)
    assert "encrypted" in refusal(path)


def test_a_flipped_bit_in_a_stored_npz_is_caught_by_its_checksum(tmp_path):
    path = npz(tmp_path / "a.npz", np.savez)
    content = bytearray(path.read_bytes())
    content[content.index(pixels((20, 5, 4)).tobytes()) + 7] ^= 1
    path.write_bytes(content)
    assert "CRC" in refusal(path)


def test_a_damaged_name_does_not_hide_the_labels_of_an_npz(tmp_path):
    path = npz(tmp_path / "a.npz", train_labels=labels(20))
    content = bytearray(path.read_bytes())
    content[content.rindex(b"train_labels")] ^= 1       # in the directory only
    path.write_bytes(content)
    assert "damaged" in refusal(path)


def test_a_damaged_comment_length_does_not_hide_the_labels_of_an_npz(tmp_path):
    path = npz(tmp_path / "a.npz", train_labels=labels(20))
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"test.npy") - 46            # in the directory; the labels' entry is next
    content[entry + 32:entry + 34] = b"\xff\x7f"
    path.write_bytes(content)
    assert "comment" in refusal(path)


def test_a_mapped_file_too_large_to_convert_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "MOST_CONVERTED", 1 << 19)
    path, header = tmp_path / "a.npy", npy_header("'|b1'", (1 << 10, 1024))
    path.write_bytes(header + bytes(1 << 20))
    assert "uint8" in refusal(path) and "1,048,576" in refusal(path)


# ---- memory

def idx_with(content):
    return lambda folder: idx_folder(folder / "set", train_images=content)


def idx_gz_with(*pieces):
    return lambda folder: idx_folder(folder / "set", gz=True, train_images=gzip.compress(b"".join(pieces)))


MANY = (2**32 - 1, 1024, 1024)
ZEROS = bytes(80_000_000)
HOSTILE = {
    "idx": idx_with(idx(pixels((2, 28, 28)), shape=MANY)),
    "idx.gz": idx_gz_with(idx(pixels((2, 28, 28)), shape=MANY)),
    "idx.gz, a modest lie": idx_gz_with(idx(pixels((2, 28, 28)), shape=(60_000, 28, 28))),
    "idx.gz, a bomb": idx_gz_with(idx(pixels((0, 1, 1)), shape=(80_000, 1000, 1)), ZEROS),
    "idx.gz, a bomb behind one image": idx_gz_with(idx(pixels((1, 28, 28))), ZEROS),
    "npy": lambda folder: write(folder / "a.npy", npy_header("'<f8'", (10**12, 28, 28)) + bytes(128)),
    "npz": lambda folder: zipped(folder / "a.npz", test=b"",
                                 train=npy_header("'<f8'", (10**12, 28, 28)) + bytes(128)),
    "npz, a bomb": lambda folder: zipped(folder / "a.npz", train=npy_header("'|u1'", (80_000, 1000)) + ZEROS,
                                         test=array_bytes(ONES)),
    "npz, a bomb as a header": lambda folder: zipped(
        folder / "a.npz", test=b"",
        train=b"\x93NUMPY\2\0" + struct.pack("<I", 60_000_000) + ZEROS[:60_000_000]),
    "npz, a bomb behind one image": lambda folder: zipped(folder / "a.npz", test=b"",
                                                          train=array_bytes(ONES) + ZEROS),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_promise_of_far_too_much_is_refused_before_memory_is_taken(tmp_path, what):
    source = HOSTILE[what](tmp_path)
    tracemalloc.start()
    refusal(source)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20   # bytes: chunks of 1 MiB, and what zlib holds
    tracemalloc.stop()


# ---- damage

def damaged(content, rng):
    """A copy of some bytes after one to three flips, cuts, splices or edits near the start or the end."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        size = len(content)
        at, other = sorted(int(i) for i in rng.integers(0, size + 1, 2)) if size else (0, 0)
        match rng.integers(0, 7):
            case 0 if size:                             # flip a bit
                content[at % size] ^= 1 << int(rng.integers(0, 8))
            case 1:                                     # cut the end
                del content[at:]
            case 2:                                     # cut a piece out
                del content[at:at + int(rng.integers(1, 40))]
            case 3:                                     # put a piece elsewhere
                content[at:at] = content[other:other + int(rng.integers(1, 200))]
            case 4:                                     # overwrite with noise
                content[at:at + 8] = rng.bytes(min(8, size - at))
            case 5:                                     # edit a header, or the directory at a zip's end
                near = int(rng.integers(0, 100))
                place = near if rng.random() < 0.6 else max(0, size - near)
                edits = [b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f", b"9", b"\0\0\0\1"]
                edit = edits[rng.integers(0, len(edits))]
                content[place:place + len(edit)] = edit
            case 6:                                     # append
                content += rng.bytes(int(rng.integers(1, 30)))
    return bytes(content)


def assert_damage_is_noticed(path, source, has_checksum):
    """Damage the file `path` of a valid data set again and again: it is refused by name, or its data are valid."""
    content, whole = path.read_bytes(), load_data(source)
    rng = np.random.default_rng(0)
    refused = 0
    path.unlink()
    for _ in range(ROUNDS):
        write(path, damaged(content, rng))
        try:
            data = load_data(source)
        except DataError as error:
            assert str(source) in str(error)
            refused += 1
            continue
        assert data.train.ndim == data.test.ndim == 2 and data.train.shape[1] == data.test.shape[1] > 0
        assert np.prod(data.image_shape) == data.train.shape[1]
        assert data.train.dtype in (np.uint8, np.float32, np.float64) and len(data.train) and len(data.test)
        assert data.train_labels is None or data.train_labels.shape == (len(data.train),)
        float(data.train.sum() + data.test.sum())       # every byte can be read
        if has_checksum:
            assert np.array_equal(data.train, whole.train) and np.array_equal(data.test, whole.test)
            assert data.train_labels is None or np.array_equal(data.train_labels, whole.train_labels)
    assert refused > ROUNDS / 4                         # the damage is real


VALID = {
    "idx": lambda folder: idx_folder(folder / "set") / "train-images-idx3-ubyte",
    "idx labels": lambda folder: idx_folder(folder / "set") / "train-labels-idx1-ubyte",
    "idx.gz": lambda folder: idx_folder(folder / "set", gz=True) / "train-images-idx3-ubyte.gz",
    "npz": lambda folder: npz(folder / "a.npz", train_labels=labels(20)),
    "npz, stored": lambda folder: npz(folder / "a.npz", np.savez, train_labels=labels(20)),
    "npy": lambda folder: npy(folder / "a.npy", pixels((20, 5, 4))),
    "npy of floats": lambda folder: npy(folder / "a.npy", np.random.default_rng(0).random((20, 20))),
}
CHECKED = ("idx.gz", "npz", "npz, stored")              # formats with a checksum


@pytest.mark.parametrize("what", VALID)
def test_damage_gives_valid_data_or_a_data_error_that_names_the_file(tmp_path, what):
    path = VALID[what](tmp_path)
    assert_damage_is_noticed(path, path.parent if what.startswith("idx") else path, what in CHECKED)
