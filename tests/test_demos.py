"""Every chapter of the course, run quickly: its claims hold, and its figures say what they show."""
import base64
import functools
import html
import re
import sys
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from browser import Browser, needs_browser
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import demos.__main__ as course
from demos.__main__ import chapters
from demos.captions import CAPTIONS
from demos.course import APPENDIX, Claim, failures, fingerprint, main, perform, Result, Settings, table
from demos.mathml import mathml
from demos.predictions import BOXES, PAGE
from demos.report import formulas, page, paragraphs, picture
from scratchvae.kernels.twins import BACKEND
from scratchvae.plots import image_grid
from scratchvae.plots.sheet import DPI, laid_out, new_figure, note, plain_axes

QUICK = Settings(quick=True)
FIGURES = Path(course.__file__).parent / "figures"
LEGIBLE = 10.0           # pixels of a letter's font
LONG = {"c06_lambda", "c10_features", "c11_attribute_vectors"}
# As ticks write them; the names of rows may have digits too.
A_NUMBER = re.compile(r"[−-]?[\d.,]+(e[+−-]?\d+)?|\$.*\d.*\$")


def drawn(axes):
    """Every array that the axes draw."""
    arrays = [line.get_xydata() for line in axes.lines] + [image.get_array() for image in axes.images]
    for collection in axes.collections:
        arrays += [collection.get_offsets(), *(path.vertices for path in collection.get_paths())]
    arrays += [patch.get_path().vertices for patch in axes.patches]
    return [np.asarray(array, dtype=float) for array in arrays if np.size(array)]


def is_labeled(axes, name):
    """Whether the axis `name` says what its numbers are, itself or through axes that share it; or has no numbers."""
    axis = getattr(axes, f"{name}axis")
    numbers = [tick for tick in axis.get_ticklabels() if A_NUMBER.fullmatch(tick.get_text())]
    if not (axes.axison and axis.get_visible() and numbers):
        return True
    shared = getattr(axes, f"get_shared_{name}_axes")().get_siblings(axes)
    return any(getattr(other, f"{name}axis").get_label_text() for other in {axes, *shared})


def faults(figure):
    """Yield what a reader would miss in a figure, shown 800 pixels wide as the course's text shows it."""
    figure.draw_without_rendering()                     # titles and ticks find their places
    page = figure.bbox.padded(1)
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    smallest = min(text.get_fontsize() for text in texts) / 72 * 800 / max(figure.get_figwidth(), 800 / DPI)
    if smallest < LEGIBLE:
        yield f"text of {smallest:.1f} pixels"
    for axes in figure.axes:
        legend = axes.get_legend()
        lines = [line.get_path().transformed(line.get_transform()) for line in axes.lines]
        box = legend and Bbox.intersection(legend.get_window_extent(), axes.bbox)
        if box and any(line.intersects_bbox(box, filled=False) for line in lines):
            yield "a legend on the data"
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick.label1.get_window_extent() for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
                     if tick.label1.get_visible() and tick.label1.get_text() and axes.axison
                     and low <= tick.get_loc() <= high]
            if any(box.count_overlaps(ticks) > 1 for box in ticks):
                yield "ticks that overprint each other"
        for text in (*axes.texts, axes.title, axes._left_title, axes._right_title, axes.xaxis.label, axes.yaxis.label):
            box = text.get_window_extent()
            if text.get_text() and not (page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0
                                        and box.y1 <= page.y1):
                yield f"'{text.get_text()}' leaves the page"
            if axes.axison and text.get_text() and text in axes.texts and any(
                    box.count_overlaps([other.get_window_extent()]) for other in axes.texts if other is not text):
                yield f"'{text.get_text()}' overlaps another text"
        [title, remark] = [text.get_window_extent() for text in (axes._left_title, axes._right_title)]
        if axes.get_title("right") and title.overlaps(remark):
            yield "a title that runs into its note"
    if not any(axes.get_title(place) for axes in figure.axes for place in ("left", "center", "right")):
        yield "no title"
    for axes in figure.axes:
        arrays = drawn(axes)
        if not arrays and not axes.texts:
            yield "axes with nothing in them"
        if not all(np.isfinite(array).all() for array in arrays):
            yield "numbers that are not finite"
        for name in ("x", "y"):
            if not is_labeled(axes, name):
                yield f"numbers on the {name} axis, and no label"


@functools.cache
def quickly(name):
    return import_module(f"demos.{name}").run(QUICK)


@pytest.mark.parametrize("name", chapters())
def test_a_chapters_claims_hold_and_its_figures_are_labeled(name):
    if name in LONG and BACKEND == "numpy":
        pytest.skip("its training takes most of a minute on the twins")
    module = import_module(f"demos.{name}")
    result = quickly(name)
    assert module.TITLE and result.claims and result.figures
    assert not failures(result), "\n" + table(result.claims)
    for claim in result.claims:
        assert re.fullmatch(r"T\d+", claim.tag) and claim.tag in module.__doc__ and claim.sentence and claim.expected
        assert isinstance(claim.holds, (bool, np.bool_)), claim
        assert re.search(r"\d", claim.measured) and "nan" not in claim.measured.lower(), claim
    for stem, figure in result.figures.items():
        assert re.fullmatch(r"[a-z0-9_]+", stem) and not list(faults(figure)), f"{stem}: {list(faults(figure))}"


@pytest.mark.skipif(BACKEND == "numpy", reason="its training takes most of a minute on the twins")
def test_the_table_and_the_figure_of_chapter_11_have_one_average():
    result = quickly("c11_attribute_vectors")
    claims = [claim for claim in result.claims if "balanced direction changes" in claim.sentence]
    for claim, axes in zip(claims, result.figures["changes"].axes, strict=True):
        [balanced] = [line for line in axes.lines if line.get_label() == "balanced"]
        second, first = np.sort(np.abs(balanced.get_xdata()))[-2:]
        assert re.fullmatch(rf"eye size {first:.2f} sd, next [a-z ]+ {second:.2f} sd", claim.measured)


def test_faults_of_a_figure_are_found():
    figure = new_figure(3, 3, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [1, np.nan])
    left.set_xlabel("epoch")
    assert list(faults(laid_out(figure))) == [
        "no title", "numbers that are not finite", "numbers on the y axis, and no label", "axes with nothing in them",
        "numbers on the x axis, and no label", "numbers on the y axis, and no label"]
    figure = new_figure(12, 4)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="a line")
    axes.legend(loc="center")
    axes.set(xticks=[0.4, 0.401, 0.9], xticklabels=["too", "near", "far"])
    plain_axes(axes, 12 * "a long title ", "x", "y")
    note(axes, "a note")
    for x in (0.1, 0.11, 1.2):
        axes.text(x, 0.8, "a text")
    figure.draw_without_rendering()
    assert list(faults(figure)) == [
        "text of 7.4 pixels", "a legend on the data", "ticks that overprint each other",
        "'a text' overlaps another text", "'a text' overlaps another text", "'a text' leaves the page",
        "a title that runs into its note"]


@pytest.mark.parametrize("name", [name for name in chapters() if any(FIGURES.glob(f"{name[:3]}_*.png"))])
def test_the_texts_pictures_were_drawn_by_the_code_as_it_is(name):
    source = fingerprint(import_module(f"demos.{name}"))
    for path in FIGURES.glob(f"{name[:3]}_*.png"):
        [kept] = re.findall(rb"tEXtSource\0([0-9a-f]{16})", path.read_bytes())
        assert kept.decode() == source, f"run python -m demos.{name}, look at {path.name}, and copy it to {FIGURES}"


@pytest.mark.parametrize("name, old, new, same", [
    ("demos.plots.divergence", 'TRAIN, "--"', 'TRAIN, ":"', False),
    ("scratchvae.plots.sheet", "DPI = 150", "DPI = 160", False),
    ("demos.c01_kl_divergence", "begun at", "from", False),
    ("demos.c01_kl_divergence", "nats, by hand", "nats", True),
    ("demos.plots.divergence", "import numpy as np", "import numpy as np         # a comment", True)])
def test_a_change_of_what_draws_a_picture_is_noticed_and_one_of_claims_and_comments_is_not(
        name, old, new, same, tmp_path, monkeypatch):
    module, file, copy, read = (import_module("demos.c01_kl_divergence"), Path(import_module(name).__file__),
                                tmp_path / "copy.py", Path.read_text)
    as_it_is, text = fingerprint(module), file.read_text(encoding="utf-8")
    assert old in text
    copy.write_text(text.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(Path, "read_text", lambda path, **named: read(copy if path == file else path, **named))
    assert (fingerprint(module) == as_it_is) == same


@pytest.mark.parametrize("name", [name for name in chapters() if name.startswith(("c01", "c04"))])
def test_two_runs_with_one_seed_print_the_same_numbers(name):
    first, second = (table(import_module(f"demos.{name}").run(QUICK).claims) for _ in range(2))
    assert first == second


TITLE = "A chapter, this module, of which one claim fails"


def run(settings):
    claims = [Claim("T1", "it <holds>", "1.0 nats", "1 nats", True), Claim("T2", "it does not", "2", "3", False)]
    return Result(claims, {"one": image_grid(np.zeros((1, 4)), (2, 2), "One")}, "x < y")


def test_a_claim_that_fails_is_in_the_table_the_report_and_the_exit_status(tmp_path, monkeypatch, capsys):
    result, paths = perform(sys.modules[__name__], QUICK, tmp_path / "out")
    [path] = paths
    assert failures(result) == 1 and path.name == "test_one.png"
    assert [line.split()[-1] for line in table(result.claims).splitlines()[2:]] == ["yes", "NO"]
    report = page([(sys.modules[__name__], result, paths)])
    assert "1 of 2 claims hold" in report
    assert "it &lt;holds&gt;" in report and "x &lt; y" in report and report.count("class=fails") == 1
    [picture] = re.findall(r"base64,([^\"]+)", report)
    assert base64.b64decode(picture) == path.read_bytes()
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["chapter", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main(run)
    assert ended.value.code == 1
    assert f"{TITLE}\n\nx < y\n\ntag " in capsys.readouterr().out


def test_errors_of_rounding_stand_in_an_appendix():
    rows = [("worst error 7e-12", True), ("0.511 nats", False), ("-7.1e-15 nats", True), ("3.7e-01 nats", False),
            ("0e+00 nats", False), ("2.8e+16", False), ("5e-16", True)]
    claims = [Claim("T1", f"claim {k}", text, "1", True) for k, (text, _) in enumerate(rows)]
    assert [claim.is_rounding for claim in claims] == [small for _, small in rows]
    main_rows, appendix = table(claims).split(APPENDIX)
    assert [re.findall(r"claim (\d)", part) for part in (main_rows, appendix)] == [list("1345"), list("026")]
    report = page([(sys.modules[__name__], Result(claims, {}), [])])
    assert report.index("claim 5") < report.index(APPENDIX) < report.index("claim 0")
    assert APPENDIX not in table(claims[3:6])


def test_the_course_ends_in_one_report_with_everything_inside(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "chapters", lambda: ["c04_backprop_by_hand"])
    monkeypatch.setattr(sys, "argv", ["demos", "--quick", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        course.main()
    assert ended.value.code == 0
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert report.count("<h2") == 1 and "chain rule, from the loss down" in report and report.count("<summary>") == 4
    assert (tmp_path / "measured.txt").read_text(encoding="utf-8").startswith("c04_backprop_by_hand: Backprop")
    assert base64.b64encode((tmp_path / "c04_graph.png").read_bytes()).decode("ascii") in report
    assert all(re.match("data:image/png|#|file:", address) for address in re.findall(r'(?:src|href)="([^"]*)', report))
    assert set(re.findall(r'href="#([^"]*)', report)) <= set(re.findall(r'id="([^"]*)', report))
    assert report.count("<math") == report.count("</math>") == len(formulas("c04")) > 5


def test_every_formula_of_the_text_is_in_one_chapters_report_as_well_formed_mathml():
    found = [formula for chapter in BOXES for formula in formulas(chapter)]
    assert sorted(found) == sorted(re.findall(r"\\tag\{(F\d+)\}", PAGE.read_text(encoding="utf-8")))
    for chapter in BOXES:
        for tex in formulas(chapter).values():
            for element in ElementTree.fromstring(mathml(tex)).iter():
                expected = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3}
                assert len(element) == expected.get(element.tag, len(element)), (tex, element.tag)
    with pytest.raises(ValueError, match=r"\\unknown is TeX that demos/mathml.py does not know"):
        mathml(r"\unknown x")


def test_every_figure_has_a_caption_which_the_text_has_as_well(tmp_path):
    drawn = {f"{name[:3]}_{stem}" for name in ("c01_kl_divergence", "c04_backprop_by_hand")
             for stem in quickly(name).figures}
    assert drawn <= set(CAPTIONS)
    for alternative, stem in re.findall(r"!\[([^]]*)\]\(figures/(c\d\d\w+)\.png\)", PAGE.read_text(encoding="utf-8")):
        assert CAPTIONS[stem] == alternative
    path = tmp_path / "c13_caught.png"
    path.write_bytes(b"")
    assert html.escape(CAPTIONS["c13_caught"]) in picture(path)


def test_a_docstring_loses_the_breaks_of_its_source_and_no_other():
    assert paragraphs("One\nline.\nT1: a\nclaim.\n\nIndented:\n    a = b\nis it.\n") == (
        "One line.\nT1: a claim.\n\nIndented:\n    a = b\nis it.")


@needs_browser
def test_the_report_fits_any_window_and_asks_for_nothing(tmp_path):
    result = quickly("c04_backprop_by_hand")
    _, paths = perform(import_module("demos.c04_backprop_by_hand"), QUICK, tmp_path)
    (tmp_path / "report.html").write_text(page([(import_module("demos.c04_backprop_by_hand"), result, paths)]))
    with Browser() as browser:
        for width in (380, 768, 1440):
            browser.viewport(width)
            browser.open(tmp_path / "report.html")
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert not browser.errors and all(request.startswith("data:") for request in browser.requests)


def test_bad_input_is_one_line_and_status_2(tmp_path, monkeypatch, capsys):
    nowhere = tmp_path / "nowhere"
    monkeypatch.setattr(sys, "argv", ["chapter", "--quick", "--out", str(tmp_path), "--data", str(nowhere)])
    with pytest.raises(SystemExit) as ended:
        main(import_module("demos.c05_vae").run)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert str(nowhere) in line
