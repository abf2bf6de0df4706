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
