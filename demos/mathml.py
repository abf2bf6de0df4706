"""The formulas of the course's text as MathML, which browsers draw themselves: as much of TeX as the text uses."""
import html
import re
from html.entities import html5

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}^_]|\d|[A-Za-z]|\s+|.", re.DOTALL)
SIGNS = {"varepsilon": "ε", "log": "log", "tanh": "tanh", "exp": "exp", "dots": "…", "partial": "∂", "cdot": "·",
         "bmod": "mod", "#": "#", "{": "{", "}": "}", "-": "−"}          # HTML has the others, by the same names
SPACES = {",": 0.17, ";": 0.28, " ": 0.25, "quad": 1.0, "qquad": 2.0}
LETTERS = {("mathbb", "E"): "𝔼", ("mathbb", "F"): "𝔽", ("mathcal", "N"): "𝒩", ("mathcal", "L"): "ℒ"}
UPRIGHT = {"mathrm", "mathtt", "mathsf", "text", "mathbb", "mathcal"}


def mathml(tex: str) -> str:
    """Return a displayed formula as a `math` element; raises ValueError for TeX that it does not know.

    Examples
    --------
    >>> mathml("x^2")
    '<math display="block"><msup><mi>x</mi><mn>2</mn></msup></math>'
    """
    tokens = TOKEN.findall(tex)[::-1]
    parts = []
    while tokens:
        parts += _item(tokens)
    return f'<math display="block">{"".join(parts)}</math>'


def _item(tokens):
    """Read an atom and what stands below and above it; return it as a list of no or one element."""
    base = _atom(tokens)
    scripts = {}
    while tokens and base is not None and tokens[-1] in "^_":
        sign = tokens.pop()
        scripts[sign] = _argument(tokens)
    if not scripts:
        return [] if base is None else [base]
    under = base.startswith("<munder>") or "∑" in base
    names = {"_": "munder", "^": "mover", "_^": "munderover"} if under else {"_": "msub", "^": "msup", "_^": "msubsup"}
    name = names["".join(sorted(scripts, reverse=True))]
    return [f"<{name}>{base}{scripts.get('_', '')}{scripts.get('^', '')}</{name}>"]


def _argument(tokens):
    while tokens[-1].isspace():
        tokens.pop()
    return _atom(tokens)


def _raw(tokens):
    """Read a letter, or a group in braces, as text."""
    while tokens[-1].isspace():
        tokens.pop()
    if tokens[-1] != "{":
        return tokens.pop()
    tokens.pop()
    depth, text = 1, ""
    while depth:
        token = tokens.pop()
        depth += (token == "{") - (token == "}")
        text += token if depth else ""
    return text.replace("\\", "")


def _atom(tokens):
    token = tokens.pop()
    name = token[1:] if token[0] == "\\" else ""
    if token.isspace():
        return None
    if token == "{":
        parts = []
        while tokens[-1] != "}":
            parts += _item(tokens)
        tokens.pop()
        return f"<mrow>{''.join(parts)}</mrow>"
    if name in SPACES:
        return f'<mspace width="{SPACES[name]}em"></mspace>'
    if name in ("frac", "tfrac"):
        top, bottom = _argument(tokens), _argument(tokens)
        small = ' displaystyle="false"' * (name == "tfrac")
        return f"<mfrac{small}>{top}{bottom}</mfrac>"
    if name == "underbrace":
        return f'<munder>{_argument(tokens)}<mo stretchy="true">⏟</mo></munder>'
    if name == "bar":
        return f"<mover>{_argument(tokens)}<mo>¯</mo></mover>"
    if name == "pmod":
        return f'<mrow><mo>(</mo><mi>mod</mi><mspace width="0.3em"></mspace>{_argument(tokens)}<mo>)</mo></mrow>'
    if name in ("big", "Big"):
        sign = tokens.pop()
        return f'<mo minsize="{1.2 if name == "big" else 1.8}em">{html.escape(sign)}</mo>'
    if name in UPRIGHT:
        text = _raw(tokens)
        return f'<mi mathvariant="normal">{html.escape(LETTERS.get((name, text), text))}</mi>'
    if token.isdigit():
        return f"<mn>{token}</mn>"
    sign = SIGNS.get(name or token) or (html5.get(f"{name};") if name else token)
    if sign is None:
        raise ValueError(f"{token} is TeX that demos/mathml.py does not know. Add it to its tables.")
    if sign.isalpha():
        return f"<mi>{sign}</mi>"
    fixed = ' stretchy="false"' * (sign in "()[]|‖∣")
    return f"<mo{fixed}>{html.escape(sign)}</mo>"
