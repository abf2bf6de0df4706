"""Change one thing at a time in the arithmetic, and see whether a test notices.

    python tests/mutation.py [--json FILE] [--jobs N] [--limit N] [--only WORD]

The syntax trees of the twins, the kernels' Python sources, the layers, the models, the objective, the estimators, the
likelihoods, the optimizers and the training's state are walked.  Each arithmetic operator, comparison, sign,
constant, index and assignment in them gives mutants; each mutant is one edit of a copy of the package, on which the
tests that matter run (on the NumPy backend, where Python itself runs the kernels' sources: nothing is compiled).  A
mutant that no test notices is a survivor: a hole in the tests, unless EXPLAINED says why not.  With --limit, a random
sample stands for all, and the standard error of its rate is printed.  No mutants are made of checks that raise errors,
of default arguments and fields, of code for Numba alone, of numbers so large that 1 more is the same number, and of the
1 in -1 ("the last", "any length"), whose sign is changed instead.
"""
import argparse
import ast
import compileall
import importlib
import json
import math
import multiprocessing
import os
import py_compile
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SECONDS = 60                        # of processor time; a mutant whose tests take longer loops for ever: noticed
ENVIRONMENT = {"SCRATCHVAE_BACKEND": "numpy", "HYPOTHESIS_PROFILE": "mutation", "OPENBLAS_NUM_THREADS": "1"}
PYTEST = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain"]
KERNELS = ["tests/test_kernels.py::test_the_source_of_a_kernel_does_what_its_twin_says_when_python_runs_it",
           "tests/test_kernels.py"]
OPTIMIZERS = ["tests/test_properties.py::test_an_optimizer_does_what_its_formula_does_to_each_number",
              "tests/test_trust.py::test_after_the_largest_gradient_that_is_accepted_every_number_is_finite_and_a_"
              "larger_one_moves_nothing", "tests/test_training.py"]
PENALIZED = "tests/test_schedules.py::test_gradient_of_a_penalized_objective_agrees_with_differences"
STATE = [f"tests/test_training.py::test_{name}" for name in (
    "states_are_equal_if_all_but_their_times_are", "a_new_epoch_begins_with_nothing_summed_up",
    "a_state_goes_through_a_file_and_stays_equal", "counts_are_taken_as_far_as_counters_of_noise_reach",
    "a_file_from_before_estimators_remembered_anything_is_read",
    "a_history_says_where_it_began_and_where_it_ended")] + [
    "tests/test_trust.py::test_a_run_is_saved_only_if_all_of_it_is_finite"]
MATTER = {                          # file: the tests that it must satisfy, the quickest to notice first
    "kernels/activations.py": [*KERNELS, "tests/test_gradcheck.py::test_dense_passes"],
    "kernels/dense.py": [*KERNELS, "tests/test_gradcheck.py::test_dense_passes"],
    "kernels/gaussian.py": [*KERNELS, "tests/test_elbo.py"],
    "kernels/rows.py": [*KERNELS, "tests/test_likelihoods.py"],
    "kernels/likelihoods.py": [*KERNELS, "tests/test_likelihoods.py"],
    "kernels/continuous_bernoulli.py": [*KERNELS, "tests/test_likelihoods.py"],
    "kernels/learned_sigma.py": [*KERNELS, "tests/test_likelihoods.py"],
    "kernels/optimizers.py": [*KERNELS, *OPTIMIZERS],
    "kernels/minibatch.py": [*KERNELS, "tests/test_training.py"],
    "kernels/totals.py": [*KERNELS, "tests/test_elbo.py"],
    "layers.py": ["tests/test_layers.py", "tests/test_model.py", "tests/test_elbo.py"],
    "elbo.py": ["tests/test_elbo.py", PENALIZED, "tests/test_estimators.py", "tests/test_training.py"],
    "estimators/base.py": ["tests/test_estimators.py"],
    "estimators/named.py": ["tests/test_estimators.py"],
    "estimators/analytic.py": ["tests/test_estimators.py"],
    "estimators/sampled.py": ["tests/test_estimators.py"],
    "estimators/pathwise.py": ["tests/test_estimators.py"],
    "estimators/importance.py": ["tests/test_estimators.py"],
    "estimators/score_function.py": ["tests/test_estimators.py"],
    "schedules.py": ["scratchvae/schedules.py", "tests/test_schedules.py", "tests/test_estimators.py"],
    "vae.py": ["tests/test_model.py", "tests/test_elbo.py"],
    "autoencoder.py": ["tests/test_elbo.py", "tests/test_model.py"],
    "history.py": [*STATE, "tests/test_training.py", "tests/test_learning.py", "tests/test_checkpoint.py"],
    "likelihoods/base.py": ["tests/test_likelihoods.py", "tests/test_model.py"],
    "likelihoods/bernoulli.py": ["tests/test_likelihoods.py", "tests/test_model.py"],
    "likelihoods/gaussian.py": ["tests/test_likelihoods.py"],
    "optimizers.py": [*OPTIMIZERS, "tests/test_learning.py", "scratchvae/optimizers.py"],
}
# Survivors that no test can notice, or need not: (file, a part of the line, old text): reason.
ALIKE = "a draw of a normal distribution about 0 has the same distribution with either sign"
ENDLESS = "where a bisection begins and how often it halves; the result is the same to the last bits"
SHARED = "where threads begin to share work: their number changes no bit"
UNWANTED = "the weight of a gradient that is not wanted is not read"
EMPTY = "more groups than needed, which are empty"
AHEAD = "memory is asked for ahead of its use, which changes no number"
EXPLAINED = {
    ("kernels/dense.py", "SERIAL_SIZE = 1 << 14", "1"): SHARED,
    ("kernels/dense.py", "SERIAL_SIZE = 1 << 14", "14"): SHARED,
    ("kernels/dense.py", "1 if d_y.size <= SERIAL_SIZE else shares", "d_y.size <= SERIAL_SIZE"): SHARED,
    ("kernels/dense.py", "1 if d_y.size <= SERIAL_SIZE else shares", "1"): SHARED,
    ("kernels/dense.py", "BLOCK_ROWS = 16", "16"): "fewer blocks of more rows: rounding alone",
    ("kernels/dense.py", "(batch + n_in - 1) // n_in", "(batch + n_in - 1) // n_in"): "fewer blocks of more rows",
    ("kernels/optimizers.py", "LINE_BYTES // vector.itemsize", "LINE_BYTES // vector.itemsize"): AHEAD,
    ("kernels/optimizers.py", "PREFETCH_DISTANCE = 512", "512"): AHEAD,
    ("kernels/optimizers.py", "(len(vector) + NUMBERS_A_TURN - 1)", "len(vector) + NUMBERS_A_TURN - 1"): EMPTY,
    ("kernels/optimizers.py", "(len(theta) + NUMBERS_A_TURN - 1)", "len(theta) + NUMBERS_A_TURN - 1"): EMPTY,
    ("kernels/optimizers.py", "(len(theta) + ", "(len(theta) + NUMBERS_A_TURN - 1) // NUMBERS_A_TURN"): EMPTY,
    ("kernels/optimizers.py", "(len(vector) + ", "(len(vector) + NUMBERS_A_TURN - 1) // NUMBERS_A_TURN"): EMPTY,
    ("kernels/likelihoods.py", "r, 0.0, ", "0.0"): UNWANTED,
    ("kernels/continuous_bernoulli.py", "r, 0.0, ", "0.0"): UNWANTED,
    ("kernels/learned_sigma.py", "r, 0.0, ", "0.0"): UNWANTED,
    ("kernels/rows.py", "BLOCK = 128", "128"): "how many terms are added before float64 goes on: rounding alone",
    ("kernels/minibatch.py", "(len(index) + 3) // 4", "3"): EMPTY,
    ("kernels/learned_sigma.py", "MIN_LOGVAR = -12.0", "12.0"): "the floor of a variance, a choice",
    ("kernels/continuous_bernoulli.py", "for n in range(1, 9)", "9"): "a term more of the series, 1e-17",
    ("kernels/continuous_bernoulli.py", "U = ", "8"): "a term more of the series, 1e-17",
    ("history.py", "MOST_SHOWN = 20", "20"): "how many epochs a notebook shows, a choice",
    ("history.py", "make_optimizer(name, layout.size, model.dtype, 1e-3)", "1e-3"): "who goes on has a rate of his own",
    ("optimizers.py", "total = np.empty(1)", "1"): "a longer buffer, of which one number is read",
    ("optimizers.py", "ROOM = 4", "4"): "how far below the largest number a step stays, a choice",
    ("likelihoods/bernoulli.py", "np.full(wanted.shape, -60.0), np.full(wanted.shape, 60.0)", "60.0"): ENDLESS,
    ("likelihoods/bernoulli.py", "for _ in range(50)", "50"): ENDLESS,
    ("likelihoods/gaussian.py", "rng.standard_normal(outputs.shape)", "outputs + self.sigma_of(p) * "
     "rng.standard_normal(outputs.shape)"): ALIKE,
    ("likelihoods/gaussian.py", "rng.standard_normal(mean.shape)", "mean + np.exp(0.5 * self.logvar(outputs)) * "
     "rng.standard_normal(mean.shape)"): ALIKE,
}

SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
         ast.FloorDiv: ast.Mult, ast.Mod: ast.Add, ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt,
         ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}


class Mutant(NamedTuple):
    """One edit: the text from `start` to `stop` (offsets in the file) becomes `new`."""

    path: str
    line: int
    kind: str
    start: int
    stop: int
    old: str
    new: str


def replacements(node):
    """Yield (kind, node to put in place) for what can be changed at one node."""
    def but(**changes):
        fields = {name: getattr(node, name) for name in node._fields}
        return type(node)(**{**fields, **changes})

    if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
        yield "operator", but(op=SWAPS[type(node.op)]())
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield "comparison", but(ops=[SWAPS[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", node.operand
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value + 1 != node.value:
        yield "constant", ast.Constant(node.value + 1)
    elif isinstance(node, ast.Slice) and (node.lower is None) != (node.upper is None):
        yield "index", but(lower=node.upper, upper=node.lower)
    elif isinstance(node, ast.AugAssign):
        yield "assignment", ast.Assign([node.target], node.value, lineno=node.lineno)
        yield "assignment", ast.Pass()
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        yield "assignment", ast.Pass()


def mutants(path):
    """Yield every Mutant of one file: of what it computes, not of what it says or refuses, nor of defaults."""
    source = (ROOT / "scratchvae" / path).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def visit(node):
        is_number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.arguments, ast.AnnAssign, ast.Constant)) and not is_number:
            return
        if isinstance(node, ast.FunctionDef) and node.name.startswith(("check", "__post_init__")):
            return
        if isinstance(node, ast.If) and any(re.match(r"raise |self\._refuse\(", ast.unparse(child))
                                            for child in node.body):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "BACKEND == 'numba'":
            for child in node.orelse:   # the rest is not for Python
                yield from visit(child)
            return
        for kind, new in replacements(node):
            start, stop = (starts[line - 1] + column for line, column in (
                (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)))
            text = ast.unparse(new) if isinstance(new, (ast.Slice, ast.stmt)) else f"({ast.unparse(new)})"
            yield Mutant(path, node.lineno, kind, start, stop, source[start:stop].decode(), text)
        if isinstance(node, ast.UnaryOp) and ast.unparse(node) == "-1":
            return                      # "any length" or "the last": its 1 is no number of its own
        for child in ast.iter_child_nodes(node):
            if not (isinstance(node, ast.FunctionDef) and child in node.decorator_list):
                yield from visit(child)

    yield from visit(ast.parse(source))


def new_copy(parent):
    """Return a folder with a copy of what the tests need, compiled so that only an edited file is compiled again."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    for name in ("scratchvae", "tests", "demos"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "figures"))
    shutil.copy(ROOT / "setup.cfg", folder)
    compileall.compile_dir(folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    return folder


def prepare(parent):
    """Make this process a worker: a copy of the package, and what every run of tests would import."""
    global FOLDER
    os.environ.update(ENVIRONMENT)
    sys.dont_write_bytecode = True
    FOLDER = new_copy(parent)
    for name in ("numpy", "pytest", "hypothesis.extra.numpy"):
        importlib.import_module(name)


def run_tests(tests, loud):
    """End this process with the verdict of the tests on FOLDER's package."""
    resource = importlib.import_module("resource")      # Windows has none, and imports this file too
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, 2 * SECONDS))
    os.chdir(FOLDER)
    sys.path.insert(0, str(FOLDER))
    if not loud:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
    sys.exit(int(sys.modules["pytest"].main([*PYTEST, *tests])))


def verdict(mutant, loud=False):
    """Return "survived", "noticed" or "timed out": how the tests of FOLDER's package, in their own process, end."""
    path = FOLDER / "scratchvae" / mutant.path
    source = path.read_bytes()
    path.write_bytes(source[:mutant.start] + mutant.new.encode() + source[mutant.stop:])
    try:
        for _ in range(2):                              # a crowded machine may stop a process once
            process = multiprocessing.get_context("fork").Process(target=run_tests, args=(MATTER[mutant.path], loud))
            process.start()
            process.join(20 * SECONDS)                  # it may wait for ever as well
            process.kill()
            process.join()
            if process.exitcode == -signal.SIGXCPU:
                return "timed out"
            if process.exitcode != -signal.SIGKILL:
                return "noticed" if process.exitcode else "survived"
        return "timed out"
    finally:
        path.write_bytes(source)


def explanation_of(mutant):
    """Return the key in EXPLAINED that says why a mutant may survive, or None."""
    line = (ROOT / "scratchvae" / mutant.path).read_text(encoding="utf-8").splitlines()[mutant.line - 1]
    return next(((path, part, old) for path, part, old in EXPLAINED
                 if path == mutant.path and part in line and old == mutant.old), None)


def main():
    """Run the mutants, report the share that was noticed and each survivor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the report here")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once; default: 2")
    parser.add_argument("--limit", type=int, help="a random sample of so many mutants, always the same ones")
    parser.add_argument("--only", default="", help="only files whose path holds this word")
    options = parser.parse_args()
    began = time.perf_counter()
    files = [path for path in MATTER if options.only in path]
    every = sorted({m for path in files for m in mutants(path)})
    explained = {mutant: explanation_of(mutant) for mutant in every}
    stale = [key for key in EXPLAINED if key[0] in files and key not in explained.values()]
    if stale:
        raise SystemExit(f"no mutant fits these explanations any more: {stale}")
    chosen = random.Random(0).sample(every, min(options.limit or len(every), len(every)))
    with tempfile.TemporaryDirectory() as parent, ProcessPoolExecutor(
            options.jobs, mp_context=multiprocessing.get_context("fork"), initializer=prepare,
            initargs=(parent,)) as pool:
        unchanged = [Mutant(path, 1, "none", 0, 0, "", "") for path in files]
        for path, end in zip(files, pool.map(verdict, unchanged, [True] * len(files))):
            if end != "survived":
                raise SystemExit(f"the tests of {path} fail without a mutant: {' '.join(MATTER[path])}")
        ends = dict.fromkeys(chosen)
        for mutant, ends[mutant] in zip(chosen, pool.map(verdict, chosen)):
            if ends[mutant] != "noticed":
                print(f"{ends[mutant]}  {mutant.path}:{mutant.line}  {mutant.kind}: {mutant.old!r} -> {mutant.new!r}",
                      flush=True)
    reasons = {mutant: EXPLAINED.get(explained[mutant]) for mutant in chosen if ends[mutant] == "survived"}
    killed = len(chosen) - len(reasons)
    near = (killed + 1) / (len(chosen) + 2)             # never 1, so that the error is never 0
    error = math.sqrt(near * (1 - near) / len(chosen) * (1 - len(chosen) / len(every)))
    report = {"mutants": len(chosen), "of": len(every), "killed": killed, "rate": killed / len(chosen), "error": error,
              "timed_out": list(ends.values()).count("timed out"), "unexplained": list(reasons.values()).count(None),
              "minutes": round((time.perf_counter() - began) / 60, 1),
              "survivors": [{**mutant._asdict(), "reason": reason} for mutant, reason in reasons.items()]}
    print(f"{killed} of {len(chosen)} mutants noticed: {report['rate']:.1%}, for all {len(every)} with a standard "
          f"error of {error:.1%}; {len(reasons)} survivors, {report['unexplained']} without an explanation")
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    return 1 if report["unexplained"] else 0


if __name__ == "__main__":
    sys.exit(main())
