"""What the house rules say, read off the syntax trees."""
import ast
import graphlib
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import scratchvae.kernels
from scratchvae.explain.lookup import EQUATIONS
from scratchvae.explain.words import FORMULAS
from scratchvae.kernels.twins import TWINS

PACKAGE = Path(scratchvae.__file__).parent
for module in pkgutil.iter_modules(scratchvae.kernels.__path__, "scratchvae.kernels."):     # that TWINS holds all
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
TESTS = Path(__file__).parent

# An import names the same line or one further up: a package, or a file of the flat folder.
ORDER = """
    errors source validation arrays tables
    storage
    plots
    kernels
    parameters layer_checks layers foreign_weights
    probability
    likelihoods
    schedules elbo
    estimators
    nonfinite optimizers learning_rates history progress_line
    data
    training
    model_settings model_files state_dict
    model vae autoencoder bundled_models
    oracles
    analysis
    gradcheck
    testing
    bugs practice
    explain
    __init__
    pages
    cli
    __main__
"""
PLACE = {name: line for line, names in enumerate(ORDER.splitlines()) for name in names.split()}
ALLOWED = {"numpy", "numba", "llvmlite", "matplotlib"}
OPTIONAL = {"testing": {"hypothesis"},                  # what one room needs and says so if it is missing
            "storage.pictures": {"PIL"},                             # matplotlib requires it
            "model_settings": {"sklearn"}}                       # in a method that scikit-learn alone calls
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


ROOMS = {room(path) for path in FILES}


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path):
    """Yield every imported module: ("", room) for ours, (top-level name, "") for others'."""
    here = room(path).split(".")
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], ""
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0], ""
        elif isinstance(node, ast.ImportFrom):
            base = [*here[:-node.level], *(node.module.split(".") if node.module else [])]
            for alias in node.names:                      # a room, a package, or a name from one
                known = [name for name in (".".join([*base, alias.name]), ".".join([*base, alias.name, "__init__"]),
                                           ".".join(base), ".".join([*base, "__init__"])) if name in ROOMS]
                yield "", known[0]


@pytest.mark.parametrize("path", FILES, ids=room)
def test_imports_point_up_the_list_of_packages(path):
    here = room(path).split(".")[0]
    assert here in PLACE, "a new package: give it its place in ORDER"
    for other, ours in imports(path):
        assert other or PLACE[ours.split(".")[0]] <= PLACE[here], f"{room(path)} imports {ours}"


def test_no_files_import_each_other_in_a_circle():
    graph = {room(path): {ours for other, ours in imports(path) if not other} for path in FILES}
    tuple(graphlib.TopologicalSorter(graph).static_order())        # raises CycleError


@pytest.mark.parametrize("path", FILES, ids=room)
def test_only_the_chosen_packages_are_imported(path):
    known = ALLOWED | OPTIONAL.get(room(path), set()) | set(sys.stdlib_module_names)
    for other, _ in imports(path):
        assert not other or other in known, f"{room(path)} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=room)
def test_only_one_room_compiles(path):
    """Flags are named in one place, and every kernel has its twin, because there is no other way to compile."""
    if room(path) == "kernels.jit":
        return
    for node in ast.walk(tree(path)):
        assert not (isinstance(node, ast.Name) and node.id in ("njit", "jit", "vectorize", "guvectorize"))
        assert not (isinstance(node, ast.Attribute) and node.attr in ("njit", "jit", "vectorize", "guvectorize"))


@pytest.mark.parametrize("path", FILES, ids=room)
def test_only_internals_takes_names_from_inside_numba(path):
    """So one file says what a new version of Numba may break."""
    inside = [node.module for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.level == 0
              and node.module.startswith("numba.") and node.module != "numba.extending"]
    assert not inside or room(path) == "kernels.internals"


@pytest.mark.parametrize("name", sorted(TWINS))
def test_a_kernel_stands_directly_below_its_twin(name):
    twin = TWINS[name]
    reference, source = twin.reference.__code__, twin.source.__code__
    assert reference.co_filename == source.co_filename
    lines = Path(source.co_filename).read_text(encoding="utf-8").splitlines()
    between = [node.name for node in ast.parse("\n".join(lines)).body if isinstance(node, ast.FunctionDef)
               and reference.co_firstlineno < node.lineno < source.co_firstlineno]
    assert not between, f"{between} between {name} and its twin"
    assert twin.reference.__name__ == f"{name}_ref"
    assert twin.reference.__doc__, f"{name}'s twin has no docstring"


def every_tag(families):
    return {f"{family}{k}" for family, most in families.items() for k in range(1, most + 1)}


def test_every_equation_that_is_cited_is_derived_and_every_derived_one_is_cited():
    """E in elbo's docstring, L in likelihoods', S in estimators', G in the oracles'; D and O in twins'."""
    tag = re.compile(r"\b[EDLOGS]\d+\b")
    derivations = {**{name: ast.get_docstring(tree(PACKAGE / f"{name}.py"))
                      for name in ("elbo", "likelihoods/__init__", "estimators/__init__", "schedules", "optimizers",
                                   "learning_rates", "oracles/linear", "oracles/ppca", "oracles/quadrature")},
                   **{name: twin.reference.__doc__ for name, twin in TWINS.items()
                      if name.startswith(("dense", "adam", "sgd"))}}
    derived = {name for text in derivations.values() for name in tag.findall(text)}
    text = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
    cited = {name for found in re.finditer(r"\(([EDLOGS]\d+[^()]*)\)", text) for name in tag.findall(found[1])}
    assert derived == every_tag(EQUATIONS)                 # `scratchvae explain` knows them all
    assert cited <= derived, cited - derived
    for name in derived:
        assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{name} is derived and nowhere used"


def test_a_tag_leads_to_the_twin_the_compiled_line_and_a_test():
    """`grep -rn E7 scratchvae tests`, which the README promises, for every E, D, L, S, G, O and F."""
    def tags(paths):
        return {tag for path in paths for tag in re.findall(r"\b[EDLSGOF]\d+\b", path.read_text(encoding="utf-8"))}

    every = every_tag({**EQUATIONS, "F": len(FORMULAS)})
    tested = tags(path for path in TESTS.rglob("*.py") if path.name not in ("test_practice.py", "grading.py"))
    assert not every - tested, f"no test cites {every - tested}"
    assert not every - tags(FILES), f"no line of code cites {every - tags(FILES)}"
    for path in (PACKAGE / "kernels").glob("*.py"):
        twins, compiled = "", ""
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef):
                text = "\n".join(path.read_text(encoding="utf-8").splitlines()[node.lineno - 1:node.end_lineno])
                if node.decorator_list:
                    compiled += text
                elif node.name.endswith("_ref"):
                    twins += ast.get_docstring(node) or ""
        without = set(re.findall(r"\b[EDLSO]\d+\b", twins)) - set(re.findall(r"\b[EDLSO]\d+\b", compiled))
        assert not without, f"{path.name}: no compiled line has {without}"


def test_text_is_read_as_utf_8_on_every_system():
    """Windows reads text in the code of its language, unless it is told otherwise; ours has letters beyond ASCII."""
    others = (path for folder in ("tests", "demos", "benchmarks") for path in (TESTS.parent / folder).rglob("*.py"))
    for path in (*FILES, *others):
        bare = [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and not node.keywords
                and not node.args and isinstance(node.func, ast.Attribute) and node.func.attr == "read_text"]
        assert not bare, f"{path}: read_text without an encoding in lines {bare}"


def documented_functions():
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                text = ast.get_docstring(node) or ""
                if "\nParameters\n---" in text:
                    yield pytest.param(node, text, id=f"{room(path)}.{node.name}")


@pytest.mark.parametrize("node, text", list(documented_functions()))
def test_documented_parameters_are_the_signature(node, text):
    if isinstance(node, ast.ClassDef):
        inits = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
        if not inits:                                      # a NamedTuple or dataclass: its fields
            names = [item.target.id for item in node.body if isinstance(item, ast.AnnAssign)]
        else:
            names = arguments(inits[0])
    else:
        names = arguments(node)
    section = re.split(r"\n[A-Z][a-z]+\n-{3,}\n", text.split("\nParameters\n", 1)[1].split("\n", 1)[1])[0]
    documented = [name.strip().lstrip("*") for line in section.splitlines()
                  if line and not line.startswith(" ") for name in line.split(" : ")[0].split(",")]
    assert documented == [name for name in names if name not in ("self", "cls")]


def arguments(node):
    a = node.args
    return [arg.arg for arg in (*a.posonlyargs, *a.args, *filter(None, [a.vararg]), *a.kwonlyargs,
                                *filter(None, [a.kwarg]))]


BY_PLACE = {"Adam", "run", "certify_model"}         # whose third argument is no setting like others


@pytest.mark.parametrize("node, text", list(documented_functions()))
def test_settings_after_the_second_argument_are_given_by_name(node, text):
    if node.name in BY_PLACE:
        return
    if isinstance(node, ast.ClassDef):
        node = next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), node)
    if isinstance(node, ast.FunctionDef):
        names = [arg.arg for arg in node.args.args if arg.arg not in ("self", "cls")]
        settings = names[len(names) - len(node.args.defaults):]
        assert not set(settings) & set(names[2:]), f"{node.name}: write * before {settings}"


def public(module):
    """Yield (name, node) of a file's public classes and functions, and of the methods of these classes."""
    classes = [node for node in module.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    for owner, prefix in [(module, ""), *((node, node.name + ".") for node in classes)]:
        for node in owner.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not (node.name.startswith("_")
                                                                          and node.name != "__init__"):
                yield prefix + node.name, node


@pytest.mark.parametrize("path", FILES, ids=room)
def test_everything_public_has_a_docstring(path):
    module = tree(path)
    assert ast.get_docstring(module) or not module.body, f"{room(path)} does not say what it is for"
    for name, node in public(module):
        told = name in TWINS or node.name == "__init__"    # by the twin directly above, and by the class
        assert told or ast.get_docstring(node), f"{room(path)}.{name} has no docstring"


def decorators(node):
    return {call.func.id for call in node.decorator_list
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}


@pytest.mark.parametrize("path", [path for path in FILES if not room(path).startswith(
    ("kernels.", "practice.exercises."))], ids=room)
def test_public_functions_are_annotated(path):
    """Numba finds the types of what it compiles itself, so kernels have none, nor have the faults that replace them.

    Exercises are written as students write them.
    """
    missing = []
    for name, node in public(tree(path)):
        if isinstance(node, ast.FunctionDef) and not {"bug", "bug_maker"} & decorators(node):
            a = node.args
            taken = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, [a.vararg, a.kwarg])]
            missing += [f"{name}({arg.arg})" for arg in taken if not arg.annotation and arg.arg not in ("self", "cls")]
            missing += [f"{name}'s result"] if not node.returns and node.name != "__init__" else []
    assert not missing, f"{room(path)}: annotate {', '.join(missing)}"


@pytest.mark.parametrize("path", FILES, ids=room)
def test_the_library_neither_asserts_nor_prints_nor_swallows_everything(path):
    speaks = room(path).startswith("cli.") or room(path) in ("__main__", "kernels.__main__")
    for node in ast.walk(tree(path)):
        assert not isinstance(node, ast.Assert), f"{room(path)}:{node.lineno} asserts"
        if isinstance(node, ast.ExceptHandler):
            names = {"BaseException", "Exception"} & {n.id for n in ast.walk(node.type or ast.Name("Exception"))
                                                      if isinstance(n, ast.Name)}
            assert node.type is not None and not names, f"{room(path)}:{node.lineno} catches everything"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            assert speaks, f"{room(path)}:{node.lineno} prints"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "random":
            assert node.attr in ("default_rng", "Generator", "PCG64"), f"{room(path)}:{node.lineno} global generator"


def test_no_test_is_shadowed_by_another_of_its_name():
    for path in TESTS.glob("test_*.py"):
        names = [node.name for node in tree(path).body if isinstance(node, ast.FunctionDef)]
        assert len(names) == len(set(names)), f"{path.name}: {[n for n in names if names.count(n) > 1]}"


def test_tests_import_only_the_chosen_packages():
    for path in TESTS.glob("*.py"):
        known = ALLOWED | {"pytest", "hypothesis", "scratchvae", "demos"} | set(sys.stdlib_module_names)
        known |= {"sklearn"} if path.name == "test_interop.py" else set()                  # skipped where it is missing
        for node in ast.walk(tree(path)):
            names = ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                     else [node.module] if isinstance(node, ast.ImportFrom) and not node.level else [])
            for name in names:
                top = name.split(".")[0]
                assert top in known or (TESTS / f"{top}.py").exists(), f"{path.name} imports {name}"


def test_the_top_level_is_the_one_that_was_chosen():
    root = TESTS.parent
    if not (root / "setup.cfg").exists():
        pytest.skip("not a checkout")
    chosen = {"setup.cfg", "pyproject.toml", "README.md", "LICENSE", "scratchvae", "tests", "benchmarks", "demos"}
    made = {"build", "runs", "__pycache__", "scratchvae.egg-info"}          # by pip, the README's commands, Python
    assert {p.name for p in root.iterdir() if not p.name.startswith(".")} <= chosen | made


def test_importing_the_package_makes_no_folder_and_compiles_nothing(tmp_path):
    rooms = [".".join(["scratchvae", *name.removesuffix("__init__").strip(".").split(".")]).rstrip(".")
             for name in sorted(ROOMS) if not name.endswith("__main__")]
    code = ("import importlib, sys; from numba.core import event\n"
            "with event.install_recorder('numba:compile') as compiled:\n"
            "    for room in sys.argv[1:]: importlib.import_module(room)\n"
            "print(len(compiled.buffer))")
    home, inside = tmp_path / "home", {path for path in PACKAGE.rglob("*") if path.suffix != ".pyc"}
    done = subprocess.run([sys.executable, "-c", code, *rooms], cwd=tmp_path, capture_output=True, text=True, env={
        **{name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR")},
        "HOME": str(home), "LOCALAPPDATA": str(home), "SCRATCHVAE_CACHE": str(home / "cache"),
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"), "PYTHONPATH": str(PACKAGE.parent),
        "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.stdout.split() == ["0"], done.stderr + done.stdout
    assert {path.name for path in tmp_path.iterdir()} <= {"matplotlib"}              # which that package makes
    assert {path for path in PACKAGE.rglob("*") if path.suffix != ".pyc"} == inside


def test_the_reading_path_is_short():
    """The whole VAE for a reader: at most 900 lines together."""
    path = ["elbo.py", "layers.py", "kernels/dense.py", "kernels/gaussian.py", "kernels/likelihoods.py", "vae.py"]
    assert sum(len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) for name in path) <= 900


# BLAS adds up in an order that depends on the number of its threads. So parameters and reported numbers never come from
# it: kernels and np.einsum (without `optimize`) take its place. Here is who may call it, or LAPACK, and why.
MAY_CALL_BLAS = {
    "kernels.dense": "the twin", "kernels.matmul": "the twins",
    **dict.fromkeys(["gradcheck.hints.dense", "gradcheck.hints.model", "gradcheck.contract", "gradcheck.hints.head",
                     "gradcheck.hints.sample_weights", "bugs.detectors"],
                    "compares with tolerances far above rounding"),
    **dict.fromkeys(["practice.exercises.c02_autoencoder", "practice.exercises.c04_backprop_by_hand",
                     "practice.exercises.c06_lambda", "practice.exercises.c09_joint_view",
                     "practice.exercises.your_own_vae"], "exercises, which are compared with tolerances"),
    "bugs.networks": "planted bugs, whose numbers are compared with tolerances",
    "plots.plane": "where points lie in a picture",
    **dict.fromkeys(["analysis.attribute_vectors", "probability.distributions", "probability.divergences", "data.faces",
                     "analysis.latent", "probability.mixture"],
                    "vectors and square matrices as large as the latent space: one thread"),
    "oracles.linear": "singular values, which only LAPACK finds; samples and gradients for tests",
    "oracles.ppca": "an eigenvalue problem, which only LAPACK solves; a reference, held to tolerances",
}
BLAS = {"dot", "vdot", "inner", "matmul", "tensordot", "linalg", "einsum_path"}


@pytest.mark.parametrize("path", FILES, ids=room)
def test_no_number_depends_on_the_threads_of_blas(path):
    calls = [node.lineno for node in ast.walk(tree(path))
             if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.MatMult)
             or isinstance(node, ast.Attribute) and node.attr in BLAS and (
                 node.attr == "dot" or getattr(node.value, "id", "np") == "np")
             or isinstance(node, ast.keyword) and node.arg == "optimize"]
    assert not calls or room(path) in MAY_CALL_BLAS, f"{room(path)} calls BLAS in lines {calls}"
    assert calls or room(path) not in MAY_CALL_BLAS, f"{room(path)} no longer calls BLAS: take it off the list"


@pytest.mark.parametrize("page", ["README.md", "demos/README.md", "scratchvae/README.md", "benchmarks/README.md",
                                  "scratchvae/cli/README.md", "scratchvae/datasets/README.md",
                                  "scratchvae/models/README.md", "benchmarks/results/README.md"])
def test_every_link_of_a_page_leads_to_a_file(page):
    path = TESTS.parent / page
    if not path.exists():
        pytest.skip("not a checkout")
    links = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not missing
