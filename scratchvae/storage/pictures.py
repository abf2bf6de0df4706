"""Reader of PNG and JPEG files of one size, by Pillow, which matplotlib requires."""
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from .readers import AGAIN, MOST_UNPACKED

SUFFIXES = (".png", ".jpg", ".jpeg")
GRAY, COLOR = ("1", "L"), ("RGB", "P", "YCbCr", "CMYK")      # Pillow's modes
MOST_PIXELS = 1 << 24           # of one picture


def read_pictures(paths: Sequence[Path]) -> np.ndarray:
    """Return uint8 pictures (n, rows, columns) if all are gray, else (n, rows, columns, 3).

    Raises DataError, which names the file, if one is damaged, transparent, of 16 bits a pixel, or of another size than
    the first.
    """
    from PIL import Image
    faults = (SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error, zlib.error,
              Image.DecompressionBombError, Image.DecompressionBombWarning, OSError)

    def opened(path, to_mode=None):
        """Return the picture's size and mode, or its pixels in a mode; checks a PNG's checksums."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(path, formats=("PNG", "JPEG")) as picture:
                    if to_mode is None:
                        size, mode = picture.size, picture.mode
                        picture.verify()
                        return size, mode
                    is_plain, is_deep = picture.mode in GRAY + COLOR, "16" in str(picture.tile[0][3])
                    if not is_plain or is_deep or "transparency" in picture.info:
                        shown = picture.convert("RGBA") if is_plain else picture
                        if is_deep or "A" not in shown.getbands() or shown.getchannel("A").getextrema()[0] < 255:
                            raise DataError(f"{path}: a picture of mode {picture.mode}{' and 16 bits' * is_deep}; "
                                            "expected gray or color of 8 bits, not transparent. Convert it, or save an "
                                            "array as .npy.")
                    return np.asarray(picture.convert(to_mode))
        except DataError:
            raise
        except faults as error:
            if isinstance(error, OSError) and error.errno:
                raise DataError(f"{path}: cannot be read ({error.strerror}). Check the file's permissions and its "
                                "disk.") from error
            raise DataError(f"{path}: damaged, or no PNG or JPEG picture ({' '.join(str(error).split())[:150]}). "
                            f"{AGAIN}") from error

    size, modes = opened(paths[0])[0], set()
    for path in paths:
        other, mode = opened(path)
        modes.add(mode)
        if other != size or other[0] * other[1] > MOST_PIXELS:
            raise DataError(f"{path}: {other[1]} x {other[0]} pixels, the first picture {size[1]} x {size[0]}; "
                            f"expected one size, of at most {MOST_PIXELS:,} pixels. Resize the pictures.")
    is_gray = modes <= {*GRAY, "LA"}
    shape = (len(paths), size[1], size[0]) + (() if is_gray else (3,))
    if np.prod(shape, dtype=float) > MOST_UNPACKED:
        raise DataError(f"{paths[0].parent}: {len(paths):,} pictures would take {np.prod(shape, dtype=float):,.0f} "
                        f"bytes; at most {MOST_UNPACKED:,} are read. Save them as one .npy, which is memory-mapped.")
    pixels = np.empty(shape, np.uint8)
    for place, path in enumerate(paths):
        pixels[place] = opened(path, "L" if is_gray else "RGB")
    return pixels
