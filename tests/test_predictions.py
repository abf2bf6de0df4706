"""The course's questions and its worked example: the page has what the scripts compute, on any machine."""
import re
import sys

import numpy as np
import pytest

from demos.__main__ import chapters
from demos.predictions import BOXES, main, PAGE, write
from demos.tiny import CHAIN, PARAMETERS, STEPS
from demos.worked import PRODUCTS, step
from scratchvae import VAE

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
TEXT = PAGE.read_text(encoding="utf-8")


def differences(text, computed):
    """Yield where two texts differ, in words or in a decimal by more than one unit of its last digit."""
    if NUMBER.sub("0", text) != NUMBER.sub("0", computed):
        yield from set(NUMBER.sub("0", computed).splitlines()) ^ set(NUMBER.sub("0", text).splitlines())
    for left, right in zip(NUMBER.findall(text), NUMBER.findall(computed)):
        digits = len(right.partition(".")[2])
        if abs(float(left) - float(right)) > (1.001 * 10.0 ** -digits if digits else 0):
            yield f"{left} in the text, {right} computed"


def test_the_page_has_what_the_script_writes():
    found = list(differences(TEXT, write(TEXT)))
    assert not found, f"{found}. Run `python -m demos.predictions`."


@pytest.mark.parametrize("before, after", [("0.511 nats", "0.514 nats"), ("At most 2 to", "At most 3 to"),
                                           ("d_g = d_l S^T", "d_g = d_l S"), ("The best linear pair is", "It is")])
def test_a_changed_number_or_word_is_found(before, after):
    text = re.sub(" +", " ", TEXT)
    assert before in text
    assert list(differences(text.replace(before, after, 1), re.sub(" +", " ", write(TEXT))))


def test_each_chapter_has_three_questions_with_folded_answers():
    assert list(BOXES) == [name[:3] for name in chapters()] and {len(rows) for rows in BOXES.values()} == {3}
    folded = re.findall(r"<details><summary>(.*)</summary>\n\n\*\*(.+)\*\* \S.*\n\n</details>", TEXT)
    assert sorted(question for question, _ in folded) == sorted(row[0] for rows in BOXES.values() for row in rows)
    assert TEXT.count("<details>") == TEXT.count("</details>") == len(folded) + 1          # and the worked example


def test_the_worked_example_is_the_librarys_step():
    t = step()
    vae = VAE(3, n_latent=2, hidden=(2,), activation="tanh", dtype="float64", n_samples=2)
    for name, segment in PARAMETERS.items():
        vae.parameters[segment][:] = t[name]
    objective, gradient = vae.gradient(t["x"], t["eps"].reshape(2, 2, 2))
    np.testing.assert_allclose(objective.loss, t["L"], rtol=1e-12)
    for name, segment in PARAMETERS.items():
        np.testing.assert_allclose(gradient[segment], t["d_" + name], rtol=0, atol=1e-12, err_msg=name)


def test_every_node_has_its_gradient():
    """In chapter 4's table and in the worked example, where x and eps are given and need none."""
    slopes = [name for _, name, _, _ in CHAIN]
    assert sorted(slopes) == sorted([*(node for _, node, _, _ in STEPS), *PARAMETERS, "x", "eps"])
    names = {name for _, name, _ in PRODUCTS}
    assert {name for name in names if not name.startswith("d_")} | set(PARAMETERS) == {
        name[2:] for name in names if name.startswith("d_")}


def test_the_command_prints_the_chapters_that_are_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["predictions", "c03"])
    main()
    printed = capsys.readouterr().out
    assert all(question in printed and why in printed for question, _, why in BOXES["c03"])
    monkeypatch.setattr(sys, "argv", ["predictions", "c99"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "no chapter is called 'c99'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="has 0 places for 'c07', expected 1"):
        write(TEXT.replace("<!-- c07 -->", ""))
