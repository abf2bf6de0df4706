"""`python -m demos`: every chapter of the course, one after the other, and one report.html with all of it.

The tables alone are in measured.txt; demos/figures has that of the run whose figures and numbers the text shows.
"""
import sys
from importlib import import_module
from pathlib import Path

from scratchvae.cli.progress import note_compilation
from scratchvae.errors import ScratchVAEError
from scratchvae.storage.atomic import write_atomically

from .course import arguments, failures, perform, table
from .report import page


def chapters():
    """Return the chapters' names in order."""
    return sorted(path.stem for path in Path(__file__).parent.glob("c[0-9][0-9]_*.py"))


def main():
    """Run all chapters; exit 1 if a claim does not hold, 2 for bad input."""
    settings, folder = arguments(__doc__)
    note_compilation()
    done, tables, wrong = [], [], 0
    try:
        for name in chapters():
            module = import_module(f"demos.{name}")
            result, paths = perform(module, settings, folder)
            print()
            done.append((module, result, paths))
            tables.append(f"{name}: {module.TITLE}\n\n{table(result.claims)}\n")
            wrong += failures(result)
        report = folder / "report.html"
        write_atomically(report, lambda stream: stream.write(page(done).encode()))
        write_atomically(folder / "measured.txt", lambda stream: stream.write("\n".join(tables).encode()))
    except ScratchVAEError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"{len(done)} chapters, {wrong} claims that do not hold; all in {report}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
