"""`scratchvae gradcheck` on somebody's own code: its table, the test that it writes, and what it refuses."""
import contextlib
import json

import pytest

from scratchvae.bugs import inject
from scratchvae.cli import gradcheck
from scratchvae.cli.main import main
from scratchvae.gradcheck import GradientMismatch
from scratchvae.vae import VAE

OWN_CHECKS = """import numpy as np
from scratchvae.gradcheck import certify, check_gradient
x = np.ones(3)
def right():
    return check_gradient(lambda: np.sum(x**2), lambda: 2 * x, x)
def wrong():
    return check_gradient(lambda: np.sum(x**2), lambda: x, x)
def nothing():
    return None
def two(a, b):
    return right()
class Called:
    def __call__(self, *arrays): return None
called, called_two = Called(), __import__("functools").partial(two)
def raising():
    {}
    return {}["a"]
def vae():
    from scratchvae.gradcheck import examine_vae
    return examine_vae(draw=lambda mu, logvar, eps: mu + logvar * eps)
def exact():
    return certify(lambda x: x**2, lambda d_y, x: {"x": 4 * x * d_y}, {"x": x})
def drawn(rng, n=2):
    p = {"W": rng.standard_normal((n, n)), "b": rng.standard_normal(n)}
    loss = lambda: np.sum(p["W"]**2) + np.sum(p["b"])
    return check_gradient(loss, lambda: {"W": 2 * p["W"], "b": np.ones(n)}, p)
def wrong_beside_one():
    return check_gradient(lambda: np.sum(x**2), lambda: 2 * x if (x == 1).all() else x, x)
def wrong_for_three(rng):
    x = rng.standard_normal(rng.integers(1, 4))
    return check_gradient(lambda: np.sum(x**2), lambda: 2 * x if len(x) < 3 else x, x)
"""


def test_gradcheck_runs_the_checks_of_a_module(capsys, tmp_path, monkeypatch):
    (tmp_path / "own_checks.py").write_text(OWN_CHECKS)
    (tmp_path / "no_python.py").write_text("def f(:")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(3)")
    monkeypatch.chdir(tmp_path)
    assert main(["gradcheck", "own_checks:wrong"]) == 1 and "a 1/2 too many" in capsys.readouterr().out
    assert main(["gradcheck", "own_checks.py:drawn"]) == 0 and "2 right" in capsys.readouterr().out
    assert main(["gradcheck", "own_checks:exact"]) == 1 and "x[0] and others: exactly 2 x" in capsys.readouterr().out
    assert main(["gradcheck", "own_checks:vae"]) == 1
    out = capsys.readouterr().out
    assert "logvar itself stands for sigma" in out and "not asked: needs update" in out and out.endswith(": WRONG\n")
    for words, message in (
            (["own_checks:nothing"], "nothing returns a NoneType; expected FUNCTION() or FUNCTION(rng)"),
            (["own_checks:none"], "own_checks:none is missing"), (["own_checks:x"], "own_checks:x is array"),
            (["own_checks:two"], "two takes a, b; expected"), (["own_checks:called"], "Called returns a NoneType"),
            (["--write-test", "own_checks:called_two"], "partial takes a, b; expected"),
            (["own_checks:raising"], "raises KeyError in own_checks.py, line 17 ('a')"),
            (["no_python:f"], "raises SyntaxError"), (["leaves:f"], "raises SystemExit in leaves.py, line 2 (3)"),
            (["no_module:f"], "No module named 'no_module'"), (["./own_checks.py:right"], "leave out the path"),
            (["--write-test"], "is given for no function"), ([""], "holds no run"),
            (["--write-test", "run"], "is given for run"), (["--write-test", "own_checks:none"], "is missing")):
        assert main(["gradcheck", *words]) == 2
        out, err = capsys.readouterr()
        assert not out and message in err and err.count("\n") == 1


def test_a_file_whose_path_begins_as_the_package_is_called_by_its_name(capsys, tmp_path, monkeypatch):
    """As scratchvae_own.py does, beside the package in a clone: its line was left out."""
    (tmp_path / "own_checks.py").write_text(OWN_CHECKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gradcheck, "__file__", str(tmp_path / "own" / "cli" / "gradcheck.py"))
    assert main(["gradcheck", "own_checks:raising"]) == 2
    assert "raises KeyError in own_checks.py, line 17" in capsys.readouterr().err


@pytest.mark.parametrize("function, passes, moves", [("right", True, True), ("wrong_beside_one", False, True),
                                                     ("drawn", True, False), ("wrong_for_three", False, False)])
def test_gradcheck_writes_a_test_that_fails_if_the_gradient_is_wrong(capsys, tmp_path, monkeypatch, function, passes,
                                                                     moves):
    (tmp_path / "own_checks.py").write_text(OWN_CHECKS)
    monkeypatch.chdir(tmp_path)
    assert main(["gradcheck", "--write-test", f"own_checks{'.py' * moves}:{function}"]) == 0
    text, _ = capsys.readouterr()
    assert ("up to a tenth larger or smaller" in text) == moves
    assert main(["gradcheck", "--write-test", f"own_checks{'.py' * moves}:{function}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"test": text}
    made = {}
    exec(compile(text, "test_own.py", "exec"), made)                          # as pytest does with a file
    with contextlib.nullcontext() if passes else pytest.raises(GradientMismatch):
        made[f"test_{function}"]()


def test_gradcheck_prints_a_line_a_model_and_a_hint_once(capsys, monkeypatch):
    models = [(f"vae {k}", VAE(4, 1, hidden=(), dtype="float64", seed=k)) for k in range(3)]
    monkeypatch.setattr(gradcheck, "_models_to_check", lambda args, rng: models)
    with inject("missing_half"):
        assert main(["gradcheck"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("vae")] == [
        f"vae {k}: WRONG: encoder.head.W, encoder.head.b, d_logvar" for k in range(3)]
    assert sum("is the 1/2 of E7 missing?" in line for line in lines) == 1 and len(lines) == 9
    assert main(["gradcheck"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and all("4 right, worst relative error" in line for line in lines[:3])
