"""The page on one training step of a tiny VAE, `scratchvae backward`, and what it quotes from this package."""
import ast
import re
from functools import cache

from .. import __version__
from ..bugs import BUGS
from .assembly import build_page, FOLDER

PACKAGE = FOLDER.parent

# What computes each equation: a file, and how the statement in it begins.
STATEMENTS = {
    "D1": ("kernels/dense.py", "y[:] = activate_ref("),
    "D2": ("kernels/dense.py", "d_y *= slope_ref("),
    "D3": ("kernels/dense.py", "d_W[:] = x.T @"),
    "D4": ("kernels/dense.py", "d_b[:] = d_y.sum("),
    "D5": ("kernels/dense.py", "d_x[:] = d_y["),
    "E1": ("elbo.py", "vae.encoder.forward("),
    "E2": ("kernels/gaussian.py", "z.reshape(shape)[:] ="),
    "E2 sigma": ("kernels/gaussian.py", "sigma = np.exp("),
    "E3": ("elbo.py", "vae.decoder.forward("),
    "E4": ("elbo.py", "return Objective(reconstruction + weight"),
    "E4 nll": ("kernels/likelihoods.py", "nll[:] = np.sum(np.maximum("),
    "E4 kl": ("kernels/gaussian.py", "kl[:] = 0.5 *"),
    "E5": ("kernels/likelihoods.py", "d_logits[:] = d_nll["),
    "E6": ("kernels/gaussian.py", "d_head[:, :n_latent] ="),
    "E7": ("kernels/gaussian.py", "d_head[:, n_latent:] ="),
    "E8": ("kernels/likelihoods.py", "nll[:] = squares /"),
    "E9": ("kernels/likelihoods.py", "d_means[:] = ("),
}


@cache
def _statements(file):
    """Return a file's text, its lines, and the statements in it that hold no others, in order."""
    text = (PACKAGE / file).read_text(encoding="utf-8")
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt) and not hasattr(node, "body")]
    return text, text.splitlines(), sorted(found, key=lambda node: node.lineno)


def quoted(file: str, piece: str) -> dict:
    """Return the first statement of a file of this package that begins with `piece`: {file, line, code}.

    Raises LookupError if there is none.

    Examples
    --------
    >>> quoted("kernels/dense.py", "d_b[:] =")["code"]
    'd_b[:] = d_y.sum(axis=0)'
    """
    text, lines, statements = _statements(file)
    for node in statements:
        if lines[node.lineno - 1].startswith(piece, node.col_offset):
            code = ast.get_source_segment(text, node).replace("\n" + " " * node.col_offset, "\n")
            return {"file": f"scratchvae/{file}", "line": node.lineno, "code": code}
    raise LookupError(f"no statement of {file} begins with {piece!r}")


def backward_page() -> str:
    """Return the page as HTML; the lines that it quotes are those of this package, as it is installed.

    Examples
    --------
    >>> backward_page().startswith("<!doctype html>")
    True
    """
    faults = re.findall(r"^  (\w+): ", (FOLDER / "backward/faults.js").read_text(encoding="utf-8"), re.MULTILINE)
    told = ("what", "seen_in", "symptom", "detected_by", "diagnosis")
    museum = {name: {field: getattr(BUGS[name], field) for field in told} for name in faults if name in BUGS}
    return build_page("backward", {"version": __version__, "museum": museum,
                                   "source": {tag: quoted(*where) for tag, where in STATEMENTS.items()}})
