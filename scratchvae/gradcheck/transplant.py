"""The weights of a model that others wrote, in one of ours: row- or column-major, with a head of one or two parts."""
from ..errors import ShapeError
from ..foreign_weights import foreign_views
from ..vae import VAE
from ..validation import instance_of


def transplant(mapping: dict, vae: VAE, *, transposed: bool | None = None) -> VAE:
    """Write a foreign model's weights into one of ours, beside which its loss, gradient and samples can be laid.

    Parameters
    ----------
    mapping : dict
        {name of a segment of vae.parameters: foreign array}, for all of them.  Matrices are (n_in, n_out) or
        (n_out, n_in).  A head of two parts is a tuple, as in {"encoder.head.W": (W_mu, W_logvar)}; if it gives
        log sigma, pass 2 W, because logvar = 2 log sigma.
    vae : VAE
        A model of the same sizes, which is returned; nothing in it changes if an array is refused.
    transposed : bool, optional
        Whether matrices are (n_out, n_in).  Shapes say it, except for square ones, which are refused without it.

    Raises
    ------
    ShapeError
        If an array is missing, is not expected, does not fit, or is square and transposed is not given.

    Examples
    --------
    >>> import numpy as np
    >>> vae = VAE(n_visible=3, n_latent=1, hidden=(), dtype="float64")
    >>> theirs = {"encoder.head.W": (np.ones((1, 3)), np.zeros((1, 3))), "encoder.head.b": (np.ones(1), np.zeros(1)),
    ...           "decoder.head.W": np.ones((3, 1)), "decoder.head.b": np.zeros((3, 1))}
    >>> transplant(theirs, vae).encode(np.ones((1, 3))).mu.tolist()
    [[4.0]]
    """
    instance_of("mapping", mapping, dict, "Pass {name of a segment: array}.")
    instance_of("vae", vae, VAE, "Build one with the sizes of the foreign model.")
    if transposed is not None:
        instance_of("transposed", transposed, bool, "Pass True for W of shape (n_out, n_in), or leave it out.")
    segments = dict(vae.parameters.segments())
    lacks = [name for name in segments if name not in mapping]
    extra = [name for name in mapping if name not in segments]
    if lacks or extra:
        wrong = " and ".join([f"lacks {', '.join(lacks)}"] * bool(lacks)
                             + [f"has {', '.join(map(str, extra))} in addition"] * bool(extra))
        raise ShapeError(f"mapping {wrong}; expected one array for each of {', '.join(segments)}. Name them as "
                         "vae.parameters does.")
    pairs = [pair for name, view in segments.items() for pair
             in foreign_views(name, view, mapping[name], transposed=transposed)]
    for foreign, view in pairs:
        view[...] = foreign
    return vae
