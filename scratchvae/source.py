"""Docstrings that `python -OO` has dropped, read from the source."""
import ast
import inspect
import textwrap
from typing import Any


def syntax_tree(source: str) -> Any:
    """Return a source's syntax tree with its docstrings, which `ast.parse` leaves out under -OO from Python 3.14 on.

    Examples
    --------
    >>> ast.get_docstring(syntax_tree("'What it does.'"))
    'What it does.'
    """
    return compile(source, "<source>", "exec", ast.PyCF_ONLY_AST, True, 0)


def bare(source: str) -> str:
    """Return the first function of a source without its decorators, comments and docstrings.

    Examples
    --------
    >>> print(bare("@cache\\ndef half(x):\\n    'What it does.'\\n    return x/2      # exactly"))
    def half(x):
        return x / 2
    """
    function = syntax_tree(textwrap.dedent(source)).body[0]
    function.decorator_list = []
    for node in ast.walk(function):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(function)


def docstring(thing: Any) -> str:
    """Return the docstring of a function or a module, "" if it has none, without the indentation.

    Examples
    --------
    >>> docstring(docstring).splitlines()[0]
    'Return the docstring of a function or a module, "" if it has none, without the indentation.'
    """
    kept = inspect.getdoc(thing)
    if kept is None:
        tree = syntax_tree(textwrap.dedent(inspect.getsource(thing)))
        kept = ast.get_docstring(tree if inspect.ismodule(thing) else tree.body[0])
    return kept or ""
