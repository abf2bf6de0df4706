"""`scratchvae explain`: every tag and word leads to its formula, lines, tests, chapter, faults, and a number."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import command, result

import scratchvae
from scratchvae.bugs import BUGS
from scratchvae.errors import ConfigurationError
from scratchvae.explain import explain, lookup
from scratchvae.explain.words import CHAPTERS, CLAIMS, FORMULAS, WORDS
from scratchvae.practice import EXERCISES

ROOT = Path(scratchvae.__file__).parents[1]
EQUATIONS = [f"{family}{k}" for family, most in lookup.EQUATIONS.items() for k in range(1, most + 1)]


@pytest.fixture(autouse=True)
def no_numbers(request, monkeypatch):
    """Only tests of numbers compute them."""
    if "number" not in request.node.name:
        monkeypatch.setattr(lookup, "checked_now", lambda word: "")


def test_e7_leads_to_all_that_there_is():
    found = explain("E7")
    assert "d_logvar = sum_k d_z eps sigma / 2" in found.formula and "scratchvae/elbo.py:" in found.formula
    assert "The 1/2 in both terms of E7" in found.derivation and found.exercise == "d_logvar"
    file, number = re.search(r"(scratchvae\S+):(\d+): d_logvar\[j\] = half", "\n".join(found.lines)).groups()
    assert "# (E7)" in (ROOT / file).read_text(encoding="utf-8").splitlines()[int(number) - 1]
    assert any("tests/test_elbo.py" in line for line in found.tests) and "missing_half" in found.faults
    assert found.chapter == "c04_backprop_by_hand"


@pytest.mark.parametrize("tag", EQUATIONS)
def test_every_equation_has_its_formula_lines_tests_and_chapter(tag):
    found = explain(tag)
    assert tag in found.formula and found.lines and found.chapter and found.tests


@pytest.mark.parametrize("tag", CLAIMS)
def test_every_claim_has_the_code_and_the_test_that_the_course_lists(tag):
    """Of 23 claims six led to no line, and nine to no test."""
    found = explain(tag)
    assert re.search(r":\d+: (def|class) ", found.lines[0]) and re.search(r":\d+: def test_", found.tests[0])


@pytest.mark.parametrize("word", [*FORMULAS, *CLAIMS, *WORDS, *BUGS])
def test_every_word_leads_somewhere(word):
    found = explain(word)
    assert found.meaning or found.formula
    assert found.chapter and (word in BUGS or found.tag in EQUATIONS or found.tag in CLAIMS)
    assert word not in BUGS or "found by" in found.tests[0]


@pytest.mark.parametrize("bug, tag", [("tanh_without_square", "D2"), ("reversed_kl", "E4"), ("sample_detached", "E6"),
                                      ("stale_weights", "D5"), ("silent_weight_decay", "O4"), ("half_noise", "E2")])
def test_a_fault_leads_to_the_equation_that_it_breaks(bug, tag):
    assert explain(bug).tag == tag and bug in explain(tag).faults


def test_a_tag_in_quotes_is_no_citation():
    assert not any("compilation.py" in line for line in explain("D1").lines)
    assert not any('["E7"]' in line or 'explain("E7")' in line for line in explain("E7").tests)
    assert any("test_the_k_sample_bound_is" in line for line in explain("G17").tests)


def test_the_tables_are_those_of_the_course():
    """The formulas of the text with an equation's tag beside them are that equation here; chapters exist."""
    text = (ROOT / "demos" / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"```math\n(.*?)```", text, flags=re.DOTALL):
        formula, tags = re.search(r"\\tag\{(F\d+)\}", block)[1], re.findall(r"\(([ED]\d)\)", block)
        assert FORMULAS[formula] in tags or not tags, formula
    claims = re.findall(r"^- \[(T\d+)\]\((c\d\d)_", text, flags=re.MULTILINE)
    assert [(tag, CLAIMS[tag][1][:3]) for tag, _ in claims] == claims and len(claims) == len(CLAIMS)
    for chapter in {*CHAPTERS.values(), *(chapter for _, chapter in CLAIMS.values())}:
        assert (ROOT / "demos" / f"{chapter}.py").exists()


@pytest.mark.parametrize("word, number", [
    ("T17", r"the difference is (\d\.\d+), and KL\(q \|\| posterior\) = \1"), ("E6", r"worst relative error \d.\de-"),
    ("T18", r"joint KL is (\d\.\d+), and its three sums are \1, \1, \1"), ("T12", "1/4.*count in one"),
    ("missing_half", "2.00 x what it should be"), ("nats", r"KL\(p \|\| q\) = 0.183787"), ("S8", "dreg, agrees"),
    ("L2", "continuous_bernoulli, agrees"), ("T22", "model answer: it is the step"), ("T10", "the variance exp logvar"),
    ("T9", r"loss of a small VAE is (\d\.\d+), and its reconstruction \+ 0.4 x KL, .*is \1$"),
    ("T16", r"2 sigma_x\^2 KL is (\d\.\d+); -2 sigma_x\^2 ELBO, less its constant, is \1$")])
def test_a_number_is_computed_now(word, number):
    assert re.search(number, explain(word).number), explain(word).number


def test_a_number_that_is_wrong_says_so():
    from scratchvae.bugs import inject
    with inject("missing_half"):
        assert "WRONG" in explain("E7").number


def test_unknown_words_are_refused_with_the_nearest():
    with pytest.raises(ConfigurationError, match="nearest are E7"):
        explain("E77")
    with pytest.raises(ConfigurationError, match="nearest are nats"):
        explain("natz")
    with pytest.raises(ConfigurationError, match="nearest are elbo,"):
        explain("ELBOO")


def test_a_formula_is_what_is_derived_and_no_line_of_code():
    assert explain("D3").formula.startswith("d_W = x^T d_a") and explain("D5").formula.startswith("d_x = d_a W^T")
    assert explain("O2").formula.startswith("Adam") and "(1 - beta2) g^2" in explain("O2").formula
    assert not any("multiply(" in explain(tag).formula or '"""' in explain(tag).formula for tag in EQUATIONS)


def test_a_formula_of_the_text_leads_to_its_exercise_and_an_exercise_to_its_chapter():
    for word in ("F1", "kl_discrete"):
        assert (explain(word).exercise, explain(word).chapter) == ("kl_discrete", "c01_kl_divergence")


def test_an_exercise_leads_to_itself():
    """bernoulli_nll led to the first exercise of its tag, "practice next kl_normal", and attribute_vector to none."""
    assert [explain(name).exercise for name in EXERCISES] == list(EXERCISES)


@pytest.mark.parametrize("tag, formula, leads", [
    ("F4", r"\nabla_{\sigma^2}", "T2: KL is never negative"), ("F34", "q(z) = ", "T18: KL of the two joint"),
    ("F21", "d_v = ", "(E7)  d_logvar = sum_k")])
def test_a_formula_of_the_text_is_printed_before_what_it_leads_to(tag, formula, leads):
    """Of the gradient of a divergence was printed that it is never negative."""
    found = explain(tag)
    first, _, second = found.formula.partition("\n\n")
    assert formula in first and rf"\tag{{{tag}}}" in first and "demos/README.md:" in first.splitlines()[-1]
    assert second.startswith(leads) and found.meaning == "a formula of the course"


def test_the_command_prints_it_and_json_has_all(capsys):
    status, out, _ = command(capsys, "explain", "e7")
    assert status == 0 and "derived and computed in" in out and "scratchvae practice next d_logvar" in out
    got = result(capsys, "explain", "F21")
    assert got["word"] == "F21" and got["tag"] == "E7" and any("test_course_formulas" in line for line in got["tests"])
    status, _, err = command(capsys, "explain", "nothing_like_it")
    assert status == 2 and err.count("\n") == 1


def test_without_a_checkout_the_tests_are_left_out(tmp_path):
    shutil.copytree(ROOT / "scratchvae", tmp_path / "scratchvae", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_others.py").write_bytes(b"# E2 in Latin-1: \xe9")        # of another package
    code = "from scratchvae.explain import explain; found = explain('E2'); print(found.tests, len(found.lines))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                          env={"PATH": "", "PYTHONPATH": str(tmp_path), "SCRATCHVAE_BACKEND": "numpy"})
    tests, lines = done.stdout.split()
    assert tests == "[]" and int(lines) > 3, done.stderr
