"""Functions that differ from a model answer in one place: what a mistake would have been."""
import ast
import sys
from collections.abc import Callable, Iterator
from itertools import accumulate

from .exercise import Exercise

SIGNS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
COMPARED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
SHORT = 12              # letters of a part that are too few to be shown alone
REDUCTIONS = {"sum": ("mean",), "mean": ("sum",), "max": ("min", "sum")}


def compiled(exercise: Exercise, source: str) -> Callable | None:
    """Return the function of a source in the place of the model answer, or None if it is none."""
    namespace = dict(vars(sys.modules[exercise.function.__module__]))
    try:
        exec(compile(source, "<edit>", "exec"), namespace)
    except (SyntaxError, ValueError):
        return None
    return namespace[exercise.name]


def _instead(node, names):
    """Yield what could stand by mistake in the place of one node of a formula."""
    if isinstance(node, ast.BinOp):
        yield node.left
        yield node.right
        if type(node.op) in SIGNS:
            yield ast.BinOp(node.left, SIGNS[type(node.op)](), node.right)
        if isinstance(node.op, (ast.Sub, ast.Div, ast.MatMult, ast.Pow)):
            yield ast.BinOp(node.right, node.op, node.left)
        if isinstance(node.op, ast.Pow):
            yield ast.BinOp(node.left, ast.Mult(), node.right)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Compare):
        yield from (ast.Compare(node.left, [sign()], node.comparators) for sign in COMPARED)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        c = node.value
        yield from (ast.Constant(other) for other in dict.fromkeys((0, 1, 2, 2 * c, c / 2, c + 1, c - 1)) if other != c)
    elif isinstance(node, ast.Call):
        yield from node.args[:1]
        if node.keywords:
            yield ast.Call(node.func, node.args, [])
        if isinstance(node.func, ast.Attribute):
            yield from (ast.Call(ast.Attribute(node.func.value, name, ast.Load()), node.args, node.keywords)
                        for name in REDUCTIONS.get(node.func.attr, ()))
            if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "np"):
                yield node.func.value
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    elif isinstance(node, ast.Slice) and (node.lower is None) != (node.upper is None):
        yield ast.Slice(node.upper, node.lower, node.step)
    elif isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load):
        yield from (ast.Name(name, ast.Load()) for name in names if name != node.id)


def places(text: str) -> Callable:
    """Return place(node) -> [start, stop], where a node of the text's syntax tree stands in the text."""
    starts = [0, *accumulate(map(len, text.splitlines(keepends=True)))]
    return lambda node: [starts[line - 1] + column for line, column in (
        (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))]


def edits(exercise: Exercise) -> Iterator[tuple[str, str, str]]:
    """Yield (source, right part, wrong part) for every answer that differs from the model answer in one place."""
    text = exercise.answer
    tree, place = ast.parse(text), places(text)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if hasattr(node, "lineno") and not isinstance(node, (ast.FunctionDef, ast.arg)):
            start, stop = place(node)
            around = node                                         # what is shown: `0` alone would say little
            while place(around)[1] - place(around)[0] < SHORT and isinstance(parents[around], (ast.expr, ast.keyword)):
                around = parents[around]
            first, last = place(around)
            for other in _instead(node, exercise.parameters):
                new = ast.unparse(ast.fix_missing_locations(other))
                put = new if isinstance(other, (ast.Slice, ast.Name, ast.Constant)) else f"({new})"
                wrong = text[first:start] + put + text[stop:last] if around is not node else new
                yield text[:start] + put + text[stop:], text[first:last], wrong
