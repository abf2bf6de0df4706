"""`scratchvae data list` and `data fetch`: the data sets that are known by name."""
import os
from argparse import Namespace

from ..data.download import cache_folder, fetch, missing_files, SETS
from ..data.loading import BUNDLED, DATASETS, DRAWN
from .parser import add_command
from .progress import FetchProgress

BUNDLED_TITLES = {"mnist5k": "5,000 digits of MNIST, 28 x 28 gray", "digits": "1,797 handwritten digits, 8 x 8 gray"}
DRAWN_TITLES = {"faces": "5,000 faces with known factors, 32 x 32 gray"}


def add(commands: object) -> None:
    """Add the parsers of `data list` and `data fetch`."""
    does = "list data sets, and fetch them"
    group = commands.add_parser("data", help=does, description=does, epilog="example: scratchvae data list")
    actions = group.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_command(actions, "list", run_list, "list the data sets that are known by name")
    parser = add_command(actions, "fetch", run_fetch, "fetch data sets into the cache folder, once", "mnist")
    parser.add_argument("names", metavar="NAME", nargs="+", choices=tuple(SETS), help=f"{', '.join(SETS)}")


def run_list(args: Namespace) -> tuple[dict, int]:
    """List the data sets that are bundled, drawn when they are loaded, fetched, and still to be fetched."""
    rows = _rows()
    for row in rows:
        size = f" ({row['bytes'] / 1e6:.0f} MB)" if row["state"] == "absent" else ""
        print(f"{row['name']:8s} {row['title']:54s} {row['state']}{size}")
    print(f"`scratchvae data fetch NAME` fetches what is absent into {cache_folder()}\n"
          "(set SCRATCHVAE_DATA to choose another folder)")
    return {"datasets": rows, "cache": str(cache_folder())}, 0


def _rows():
    rows = [{"name": name, "state": "bundled", "title": BUNDLED_TITLES[name], "path": str(DATASETS / f"{name}.npz"),
             "bytes": os.path.getsize(DATASETS / f"{name}.npz")} for name in BUNDLED]
    rows += [{"name": name, "state": "drawn", "title": DRAWN_TITLES[name], "path": None, "bytes": 0}
             for name in DRAWN]
    return rows + [{"name": name, "state": "absent" if missing_files(name) else "fetched", "title": known.title,
                    "path": str(cache_folder() / name), "bytes": known.size} for name, known in SETS.items()]


def run_fetch(args: Namespace) -> tuple[dict, int]:
    """Fetch sets that are not there yet; check those that are."""
    rows = []
    for name in args.names:
        progress = FetchProgress()
        folder = fetch(name, report=progress, warn=progress.warn)
        print(f"{name:10s} {folder}")
        rows.append({"name": name, "path": str(folder)})
    return {"datasets": rows}, 0
