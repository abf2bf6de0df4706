"""`scratchvae data list`, `data fetch` and `data show`: data sets by name, and what one holds."""
import os
from argparse import Namespace

import numpy as np

from .. import plots
from ..arrays import stretches
from ..data.download import cache_folder, fetch, missing_files, SETS
from ..data.loading import BUNDLED, DATASETS, DRAWN, load_data
from ..data.meaning import as_floats
from .parser import add_command, add_image_shape, add_transpose, out_path
from .progress import FetchProgress
from .run_folder import run_name
from .screen import print_filled

TITLES = {"mnist5k": "5,000 digits of MNIST, 28 x 28 gray", "digits": "1,797 handwritten digits, 8 x 8 gray",
          "faces": "5,000 faces with known factors, 32 x 32 gray"}
SHOWN = 40                      # examples that `data show` draws


def add(commands: object) -> None:
    """Add the parsers of `data list`, `data fetch` and `data show`."""
    does = "list data sets, fetch them, and show what one holds"
    group = commands.add_parser("data", help=does, description=does, epilog="example: scratchvae data list")
    actions = group.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_command(actions, "list", run_list, "list the data sets that are known by name")
    parser = add_command(actions, "fetch", run_fetch, "fetch data sets into the cache folder, once", "mnist")
    parser.add_argument("names", metavar="NAME", nargs="+", choices=tuple(SETS), help=f"{', '.join(SETS)}")
    parser = add_command(actions, "show", run_show, "say what is understood of a data set, and draw its first examples",
                         "faces.csv --image-shape 28x20")
    parser.add_argument("name", metavar="NAME or PATH", help="what --data of `scratchvae train` takes")
    add_image_shape(parser)
    add_transpose(parser)
    parser.add_argument("--figure", metavar="FILE", help="where the figure goes; runs/NAME-data.png if absent")


def run_list(args: Namespace) -> tuple[dict, int]:
    """List the data sets that are bundled, drawn when they are loaded, fetched, and still to be fetched."""
    rows = _rows()
    for row in rows:
        size = f" ({row['bytes'] / 1e6:.0f} MB)" if row["state"] == "absent" else ""
        print(f"{row['name']:8s} {row['title']:54s} {row['state']}{size}")
    print_filled(f"`scratchvae data fetch NAME` fetches what is absent into {cache_folder()} (set SCRATCHVAE_DATA to "
                 "choose another folder)")
    return {"datasets": rows, "cache": str(cache_folder())}, 0


def _rows():
    files = {name: DATASETS / f"{name}.npz" for name in BUNDLED}
    rows = [(name, "bundled", TITLES[name], str(path), os.path.getsize(path)) for name, path in files.items()]
    rows += [(name, "drawn", TITLES[name], None, 0) for name in DRAWN]
    rows += [(name, "absent" if missing_files(name) else "fetched", known.title, str(cache_folder() / name), known.size)
             for name, known in SETS.items()]
    return [dict(zip(("name", "state", "title", "path", "bytes"), row)) for row in rows]


def run_fetch(args: Namespace) -> tuple[dict, int]:
    """Fetch sets that are not there yet; check those that are."""
    rows = []
    for name in args.names:
        progress = FetchProgress()
        folder = fetch(name, report=progress, warn=progress.warn)
        print(f"{name:10s} {folder}")
        rows.append({"name": name, "path": str(folder)})
    return {"datasets": rows}, 0


def run_show(args: Namespace) -> tuple[dict, int]:
    """Print shape, type, range and labels of a data set, and draw its first training examples."""
    data = load_data(args.name, image_shape=args.image_shape, transpose=args.transpose)
    default = f"runs/{run_name(args.name)}-data.png"
    path = out_path("--figure", default if args.figure is None else args.figure, ".png")
    shown, D = data.train[:SHOWN], data.train.shape[1]
    figure = plots.image_grid(as_floats(shown, np.float64), data.image_shape,
                              f"{data.name}: the first {len(shown)} training examples", fields=data.fields)
    plots.save(figure, path)
    numbers = np.concatenate([part for array in (data.train, data.test) for part in stretches(array.reshape(-1))])
    known = numbers[~np.isnan(numbers)]
    low, high = (known.min(), known.max()) if known.size else (np.nan, np.nan)
    rows, columns, *color = data.image_shape
    is_picture = color or min(rows, columns) > 1
    classes = [] if data.train_labels is None else sorted({*data.train_labels.tolist(), *(
        () if data.test_labels is None else data.test_labels.tolist())})
    meaning = "gray levels, where 255 means 1" if data.train.dtype == np.uint8 else "which mean themselves"
    sampled = " in a sample" * (numbers.size < data.train.size + data.test.size)
    for name, text in (
            ("name", data.name), ("train", f"{len(data.train):,} rows of {D:,} numbers"),
            ("test", f"{len(data.test):,} rows, held out of training"),
            ("numbers", f"{data.train.dtype} from {low:.6g} to {high:.6g}{sampled}, {meaning}"
             + f"; {numbers.size - known.size:,} are NaN" * (known.size < numbers.size)),
            ("examples", f"{'color' if color else 'gray'} images of {rows} x {columns}" if is_picture else
             "rows that are no images; --image-shape says if they are"),
            ("columns", ", ".join(data.fields) if data.fields and not is_picture else ""),
            ("labels", f"{len(classes)} kinds: {', '.join(map(str, classes[:20]))}{', ...' * (len(classes) > 20)}"
             if classes else "none")):
        if text:
            print_filled(text, f"{name:9s}", " " * 9)
    print(f"figure   {path}")
    return {"name": data.name, "train": len(data.train), "test": len(data.test), "columns": D,
            "dtype": data.train.dtype.name, "low": low, "high": high, "nan": numbers.size - known.size,
            "image_shape": data.image_shape, "labels": classes, "fields": data.fields, "file": str(path)}, 0
