"""report.html: the course as it was run, one page with everything inside, by the standard library alone.

Of the course's text it takes the formulas of each chapter; the questions are those of demos/predictions.py.
"""
import base64
import html
import re
from pathlib import Path

from scratchvae.source import docstring

from .captions import CAPTIONS
from .course import APPENDIX, COLUMNS, failures, main_and_appendix
from .mathml import mathml
from .predictions import BOXES, PAGE

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #222; --dim: #5f5f5f; --line: #d4d4d4; --link: #0b5394;
        --no: #fbe3d9; --box: #f5f5f5; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --ink: #e4e4e4; --dim: #a5a5a5; --line: #3d4046; --link: #8ab9ea;
          --no: #55291b; --box: #212429; }
}
body { font: 16px/1.55 system-ui, sans-serif; max-width: 54rem; margin: 0 auto; padding: 1rem; color: var(--ink);
       background: var(--paper); overflow-wrap: break-word; }
a { color: var(--link); }
h1, h2 { line-height: 1.25; }
section { border-top: 1px solid var(--line); margin-top: 2.5rem; }
nav, figcaption, .tag { color: var(--dim); font-size: 14px; }
ol { columns: 22rem; column-gap: 3rem; }
.text { white-space: pre-wrap; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
tr.fails { font-weight: bold; background: var(--no); }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.formula { display: flex; align-items: center; gap: 1rem; overflow-x: auto; padding: .3rem 0; }
.formula math { flex: 1; font-size: 105%; }
details { background: var(--box); border-radius: 4px; padding: .4rem .8rem; margin: .5rem 0; }
summary { cursor: pointer; }
pre { font-size: 12px; line-height: 1.35; overflow-x: auto; }
@media (max-width: 40rem) {
  tr:first-child { display: none; }
  tr, th, td { display: block; }
  td { border: 0; padding: 0; }
  td::before { content: attr(data-name) ": "; color: var(--dim); }
  tr { border-bottom: 1px solid var(--line); padding: .5rem 0; }
}
"""


def formulas(chapter: str) -> dict:
    """Return the formulas that the text derives for a chapter such as "c01", TeX by tag.

    They stand before the chapter's questions, and after those of the chapter before.
    """
    text = PAGE.read_text(encoding="utf-8")
    before = text[:text.index(f"<!-- {chapter} -->")]
    here = before[max([0] + [found.end() for found in re.finditer(r"<!-- end of c\d\d -->", before)]):]
    return {tag: tex.strip() for tex, tag in re.findall(r"```math\n((?:(?!```).)*?)\\tag\{(F\d+)\}", here, re.DOTALL)}


def paragraphs(text: str) -> str:
    """Return a docstring without the line breaks of its source, but for those before claims and indented lines."""
    return re.sub(r"(?m)(^\S.*)\n(?=\S)(?!T\d+:)", r"\1 ", text.strip())


def picture(path: Path) -> str:
    """Return one figure, its file inside, with a caption."""
    caption = html.escape(CAPTIONS.get(path.stem, path.stem))
    inside = base64.b64encode(path.read_bytes()).decode("ascii")
    return (f'<figure id="{path.stem}"><img alt="{caption}" src="data:image/png;base64,{inside}">'
            f"<figcaption>{caption}. ({path.name})</figcaption></figure>\n")


def section(module: object, result: object, paths: list, before: str = "", after: str = "") -> str:
    """Return one chapter as HTML: its docstring, formulas, table, figures and questions.

    `before` and `after` are the names of the chapters that it links to.
    """
    name = Path(module.__file__).stem
    near = [f'<a href="#{other}">{label} {other[:3]}</a>' for label, other in (("←", before), ("→", after)) if other]
    links = [*near, '<a href="#top">contents</a>', f'<a href="{PAGE.as_uri()}">text</a>',
             f'<a href="{Path(module.__file__).resolve().as_uri()}">{Path(module.__file__).name}</a>']
    chapter = name[:3]
    parts = [f'<section id="{name}"><h2>{html.escape(module.TITLE)}</h2>\n<nav>{" · ".join(links)}</nav>\n',
             f'<p class="text">{html.escape(paragraphs(docstring(module)))}</p>\n']
    if chapter in BOXES:
        parts += [f'<div class="formula"><span class="tag" id="{tag}">{tag}</span>{mathml(tex)}</div>\n'
                  for tag, tex in formulas(chapter).items()]
    rows = "".join(
        f"<tr><th colspan={len(COLUMNS)}>{APPENDIX}</th></tr>\n" if claim is None else
        f"<tr{'' if claim.holds else ' class=fails'}>"
        + "".join(f'<td data-name="{column}">{html.escape(str(cell))}</td>' for column, cell in
                  zip(COLUMNS, (*claim[:4], "yes" if claim.holds else "NO"))) + "</tr>\n"
        for claim in main_and_appendix(result.claims))
    heads = "".join(f"<th>{column}</th>" for column in COLUMNS)
    parts += [f"<h3>Measured</h3>\n<table><tr>{heads}</tr>\n{rows}</table>\n", *map(picture, paths)]
    if chapter in BOXES:
        parts += ["<h3>Predict, run, explain</h3>\n<p>Say a number and a reason first.</p>\n",
                  *(f"<details><summary>{html.escape(question)}</summary><p><b>{html.escape(answer())}</b> "
                    f"{html.escape(why)}</p></details>\n" for question, answer, why in BOXES[chapter])]
    if result.text:
        parts.append(f"<details><summary>All that it prints</summary><pre>{html.escape(result.text)}</pre></details>\n")
    return "".join(parts) + "</section>\n"


def page(chapters: list) -> str:
    """Return the whole report of chapters, each (module, Result, paths of its figures)."""
    names = ["", *(Path(module.__file__).stem for module, _, _ in chapters), ""]
    contents = "".join(
        f'<li><a href="#{name}">{html.escape(module.TITLE)}</a> <span class="tag">'
        f"{len(result.claims) - failures(result)} of {len(result.claims)} claims hold</span></li>\n"
        for name, (module, result, _) in zip(names[1:], chapters))
    sections = "".join(section(*chapter, before, after) for chapter, before, after in zip(chapters, names, names[2:]))
    return ('<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>The course of scratchvae</title>\n'
            f'<meta name=viewport content="width=device-width, initial-scale=1">\n<style>{STYLE}</style></head>\n'
            '<body><h1 id="top">The course, run</h1>\n<p>How a variational autoencoder works. '
            f'<a href="{PAGE.as_uri()}">The text</a> derives each formula F. Here are the claims T of each '
            "chapter, as this run measured them, and its figures.</p>\n"
            f"<nav><ol>\n{contents}</ol></nav>\n{sections}</body></html>\n")
