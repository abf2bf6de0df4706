"""Tables for notebooks."""
from collections.abc import Iterable, Sequence
from html import escape


def html_table(headings: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Return an HTML table of texts; what HTML would read as markup is escaped.

    Examples
    --------
    >>> html_table(["name", "value"], [["kl", "< 1"]])
    '<table><tr><th>name</th><th>value</th></tr><tr><td>kl</td><td>&lt; 1</td></tr></table>'
    """
    def line(cells, tag):
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    head = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{head}{line(headings, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
