"""Every chapter of the course, run quickly: its claims hold, and its figures say what they show."""
import base64
import functools
import re
import sys
from importlib import import_module

import numpy as np
import pytest

import demos.__main__ as course
from demos.__main__ import chapters, page, section
from demos.course import APPENDIX, Claim, failures, main, perform, Result, Settings, table
from scratchvae.kernels.twins import BACKEND
from scratchvae.plots import image_grid
from scratchvae.plots.sheet import new_figure

QUICK = Settings(quick=True)
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
    """Yield what a reader would miss in a figure."""
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
    figure = new_figure(3, 3)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [1, np.nan])
    left.set_xlabel("epoch")
    assert list(faults(figure)) == ["no title", "numbers that are not finite", "numbers on the y axis, and no label",
                                    "axes with nothing in them", "numbers on the x axis, and no label",
                                    "numbers on the y axis, and no label"]


@pytest.mark.parametrize("name", [name for name in chapters() if name.startswith(("c01", "c04"))])
def test_two_runs_with_one_seed_print_the_same_numbers(name):
    first, second = (table(import_module(f"demos.{name}").run(QUICK).claims) for _ in range(2))
    assert first == second


TITLE = "A chapter, this module, of which one claim fails"


def run(settings):
    claims = [Claim("T1", "it <holds>", "1.0 nats", "1 nats", True), Claim("T2", "it does not", "2", "3", False)]
    return Result(claims, {"one": image_grid(np.zeros((1, 4)), (2, 2), "One")}, "x < y")


def test_a_claim_that_fails_is_in_the_table_the_report_and_the_exit_status(tmp_path, monkeypatch, capsys):
    result, [path] = perform(sys.modules[__name__], QUICK, tmp_path / "out")
    assert failures(result) == 1 and path.name == "test_one.png"
    assert [line.split()[-1] for line in table(result.claims).splitlines()[2:]] == ["yes", "NO"]
    report = page([section(sys.modules[__name__], result, [path])])
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
    report = section(sys.modules[__name__], Result(claims, {}), [])
    assert report.index("claim 5") < report.index(APPENDIX) < report.index("claim 0")
    assert APPENDIX not in table(claims[3:6])


def test_the_course_ends_in_one_report_with_everything_inside(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "chapters", lambda: ["c04_backprop_by_hand"])
    monkeypatch.setattr(sys, "argv", ["demos", "--quick", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        course.main()
    assert ended.value.code == 0
    report = (tmp_path / "report.html").read_text()
    assert report.count("<h2") == 1 and "chain rule, from the loss down" in report
    assert (tmp_path / "measured.txt").read_text().startswith("c04_backprop_by_hand: Backprop")
    assert base64.b64encode((tmp_path / "c04_graph.png").read_bytes()).decode("ascii") in report
    assert not re.search(r'(src|href)="(?!data:)', report)


def test_bad_input_is_one_line_and_status_2(tmp_path, monkeypatch, capsys):
    nowhere = tmp_path / "nowhere"
    monkeypatch.setattr(sys, "argv", ["chapter", "--quick", "--out", str(tmp_path), "--data", str(nowhere)])
    with pytest.raises(SystemExit) as ended:
        main(import_module("demos.c05_vae").run)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert str(nowhere) in line
