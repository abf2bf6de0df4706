"""`python -m demos`: every chapter of the course, one after the other, and one report.html with all of it.

The tables alone are in measured.txt; demos/figures has that of the run whose figures and numbers the text shows.
"""
import base64
import html
import sys
from importlib import import_module
from pathlib import Path

from scratchvae.cli.progress import note_compilation
from scratchvae.errors import ScratchVAEError
from scratchvae.storage.atomic import write_atomically

from .course import APPENDIX, arguments, COLUMNS, failures, main_and_appendix, perform, table

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ccc; }
tr.fails { font-weight: bold; background: #fbe3d9; }
img { max-width: 100%; margin: 1rem 0; }
p { white-space: pre-line; }
pre { font-size: 12px; line-height: 1.3; overflow-x: auto; }
"""


def chapters():
    """Return the chapters' names in order."""
    return sorted(path.stem for path in Path(__file__).parent.glob("c[0-9][0-9]_*.py"))


def section(module, result, paths):
    """Return one chapter as HTML: its docstring, table and figures, the pictures inside."""
    name = Path(module.__file__).stem
    rows = "".join(
        f"<tr><th colspan={len(COLUMNS)}>{APPENDIX}</th></tr>" if claim is None else
        f"<tr{'' if claim.holds else ' class=fails'}>"
        + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in (*claim[:4], "yes" if claim.holds else "NO"))
        + "</tr>"
        for claim in main_and_appendix(result.claims))
    pictures = "".join(f'<img alt="{html.escape(path.stem)}" '
                       f'src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode("ascii")}">'
                       for path in paths)
    text = f"<pre>{html.escape(result.text)}</pre>\n" if result.text else ""
    heads = "".join(f"<th>{column}</th>" for column in COLUMNS)
    return (f'<h2 id="{name}">{html.escape(module.TITLE)}</h2>\n<p>{html.escape(module.__doc__.strip())}</p>\n{text}'
            f"<table><tr>{heads}</tr>{rows}</table>\n{pictures}\n")


def page(sections):
    """Return the whole report."""
    return ("<!doctype html>\n<html lang=en><meta charset=utf-8><title>The course of scratchvae</title>\n"
            f"<style>{STYLE}</style>\n<h1>The course, run</h1>\n{''.join(sections)}</html>\n")


def main():
    """Run all chapters; exit 1 if a claim does not hold, 2 for bad input."""
    settings, folder = arguments(__doc__)
    note_compilation()
    sections, tables, wrong = [], [], 0
    try:
        for name in chapters():
            module = import_module(f"demos.{name}")
            result, paths = perform(module, settings, folder)
            print()
            sections.append(section(module, result, paths))
            tables.append(f"{name}: {module.TITLE}\n\n{table(result.claims)}\n")
            wrong += failures(result)
        report = folder / "report.html"
        write_atomically(report, lambda stream: stream.write(page(sections).encode()))
        write_atomically(folder / "measured.txt", lambda stream: stream.write("\n".join(tables).encode()))
    except ScratchVAEError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"{len(sections)} chapters, {wrong} claims that do not hold; all in {report}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
