"""What `scratchvae reproduce` has measured: records, what to expect of the next run, and the page."""
import csv
import io
import math
import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import __version__
from ..errors import RunError
from ..history import History
from ..kernels.threads import threads
from ..plots import bounds_over_epochs, save
from ..storage.atomic import write_atomically
from .published import ROWS
from .run_folder import HISTORY

RECORDS, PAGE = "reproduced.csv", "README.md"
RECORDED = Path(__file__).with_name(RECORDS)                   # of the project's own runs
FAR = 0.3                             # nats: a loss that is farther beyond the range over seeds is told as far


class Record(NamedTuple):
    """A run after so many epochs, in nats per example; NaN and 0 where nothing was estimated."""

    row: str
    seed: int
    epochs: int
    loss: float
    minutes: float
    machine: str
    log_likelihood: float = math.nan
    stderr: float = math.nan
    importance_samples: int = 0
    n: int = 0
    active_units: int = 0


def read_records(path: Path) -> list[Record]:
    """Return the lines of a file of records, none if it is missing; raises RunError if it is damaged."""
    try:
        head, *lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
        if tuple(head) != Record._fields:
            raise ValueError(head)
        return [Record(*(kind(text) for kind, text in zip(Record.__annotations__.values(), line, strict=True)))
                for line in lines if ROWS[line[0]]]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}. Choose another folder (--out).") from error
    except (ValueError, LookupError) as error:
        raise RunError(f"{path} holds no records of `scratchvae reproduce`. Remove it, or choose another folder "
                       "(--out).") from error


def records_of(name: str, seed: int, history: History) -> list[Record]:
    """Return the records of the ended stages of a run, and of its last epoch."""
    ends = sorted({*(stage for stage in ROWS[name].stages if stage < len(history)), len(history)})
    minutes = np.cumsum(history.column("seconds")) / 60
    return [Record(name, seed, end, round(history[end - 1].test_loss, 4), round(minutes[end - 1], 2), machine())
            for end in ends]


def machine() -> str:
    """Return what times and last digits depend on."""
    return (f"{platform.processor() or platform.machine()} with {os.cpu_count()} cores, threads: {threads()}, "
            f"{platform.system()}, scratchvae {__version__}, Python {platform.python_version()}, "
            f"NumPy {np.__version__}, Numba {version('numba')}")


def merged(old: Iterable[Record], new: Iterable[Record]) -> list[Record]:
    """Return old and new records in the order of the page; an estimate stays until another replaces it."""
    found = {record[:3]: record for record in old}
    for record in new:
        before = found.get(record[:3])
        if before is None or before.loss != record.loss or record.n:
            found[record[:3]] = record
    return sorted(found.values(), key=lambda record: (list(ROWS).index(record.row), record.epochs, record.seed))


def expected(name: str, epochs: int) -> tuple[float, float] | None:
    """Return the (least, largest) loss to expect of a row after so many epochs; None if that was not recorded.

    The range is that over the recorded seeds.  Where there is one seed, it is as wide as at the last epoch of which
    there are several.
    """
    found, spread = stages(read_records(RECORDED), name), 0.0
    for end in sorted(found):
        losses = [record.loss for record in found[end]]
        spread = max(losses) - min(losses) if len(losses) > 1 else spread
        if end == epochs:
            return max(losses) - spread, min(losses) + spread
    return None


def expected_text(name: str, epochs: int) -> str:
    """Return the expected range of the loss, with the log-likelihoods that were estimated there; "" if unknown."""
    found = [f"{record.log_likelihood:.2f} +- {record.stderr:.2f}"
             for record in stages(read_records(RECORDED), name).get(epochs, []) if record.importance_samples]
    return _range(expected(name, epochs) or ()) + (f" (log-likelihood {', '.join(found)})" if found else "")


def stages(records: Iterable[Record], name: str) -> dict[int, list[Record]]:
    """Return {epochs: records of every seed} of a row."""
    found: dict[int, list[Record]] = {}
    for record in records:
        if record.row == name:
            found.setdefault(record.epochs, []).append(record)
    return found


def is_far(record: Record) -> bool:
    """Return whether a loss is more than 0.3 nats beyond the expected range, if several seeds tell how wide that is."""
    low, high = expected(record.row, record.epochs) or (0.0, 0.0)
    return low < high and not low - FAR <= record.loss <= high + FAR


def write(folder: Path, records: list[Record]) -> None:
    """Write the records, the page and its figure."""
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([Record._fields, *records])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in ((RECORDS, table.getvalue()), (PAGE, page(records))):
        write_atomically(folder / name, lambda file: file.write(text.encode()))
    save(bounds_over_epochs(curves(folder, records)), folder / "curves.png")


def curves(folder: Path, records: list[Record]) -> dict[str, tuple]:
    """Return what `bounds_over_epochs` draws: all epochs of runs in `folder`, of others what was recorded."""
    panels: dict[str, tuple] = {}
    for name in dict.fromkeys(record.row for record in records):
        row, ours = ROWS[name], [record for record in records if record.row == name]
        found = []
        for seed in sorted({record.seed for record in ours}):
            file = folder / f"{name}-{seed}" / HISTORY
            losses = (np.loadtxt(file, delimiter=",", skiprows=1, usecols=(0, 4), ndmin=2) if file.exists() else
                      np.array([(record.epochs, record.loss) for record in ours if record.seed == seed]))
            found.append(losses.T * [[1], [1 if row.is_loss else -1]])
        points = [(record.epochs, record.log_likelihood) for record in ours if record.importance_samples]
        panel = panels.setdefault(row.protocol, (row.stages, {}))
        panel[1][name] = row.published, found, np.array(points).reshape(-1, 2).T
    return panels


def page(records: list[Record]) -> str:
    """Return the page of all records, in Markdown: a table a protocol, because those do not compare."""
    protocols = dict.fromkeys(ROWS[record.row].protocol for record in records)
    return "\n".join([
        "# Published numbers, reproduced", "",
        "Held-out nats per example, written by `scratchvae reproduce`. Every table has one protocol: numbers of",
        "different tables do not compare. The bound is the negative held-out loss of training, with one sample of z an",
        "image, or as many as the row says. The log-likelihood is an estimate with K samples of z, and its standard",
        "error is over the n images. Of several seeds there is the range. Minutes of training include those that the",
        "machine spent on other work.", "",
        "![Held-out bounds over epochs, a panel for each protocol](curves.png)",
        *(line for protocol in protocols for line in _section(protocol, records)),
        "", "Measured on:", "", *(f"- {name}" for name in dict.fromkeys(record.machine for record in records)), ""])


def _section(protocol, records):
    names = [name for name, row in ROWS.items() if row.protocol == protocol and stages(records, name)]
    kind = "loss" if ROWS[names[0]].is_loss else "bound"
    yield from ("", f"## {protocol}", "", f"| row | epochs | seeds | {kind} | log-likelihood | standard error | K | n "
                "| active units | minutes |", "|" + " --- |" * 10)
    for name in names:
        row = ROWS[name]
        if row.published is not None:
            numbers = ["", f"{row.published:.2f}"][::-1 if row.is_loss else 1]
            yield _line(f"{name}, published", f"{row.stages[-1]:,}", "", *numbers, *[""] * 5)
        for epochs, found in sorted(stages(records, name).items()):
            sign = 1 if row.is_loss else -1
            measured = [record for record in found if record.n]
            counts = (sorted({getattr(record, field) for record in measured} - {0})
                      for field in ("importance_samples", "n", "active_units"))
            yield _line(name, f"{epochs:,} of {row.stages[-1]:,}", f"{len(found)}",
                        _range([sign * record.loss for record in found]),
                        _range([record.log_likelihood for record in measured]),
                        _range([record.stderr for record in measured]),
                        *(", ".join(f"{count:,}" for count in several) for several in counts),
                        _range([record.minutes for record in found], 1))
    yield ""
    for name in names:
        yield f"- `{name}`: {ROWS[name].note}."


def _line(*cells):
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |".replace("  ", " ")


def _range(values, digits=2):
    """Return a number, or the range of several, as text; nothing if there is none."""
    values = [value for value in values if not math.isnan(value)]
    ends = [f"{value:.{digits}f}" for value in (min(values), max(values))] if values else [""]
    return " to ".join(dict.fromkeys(ends))
