"""`scratchvae attribute`: test images along the attribute vector of a class of digits, or of a face's factor (T22)."""
from argparse import Namespace

import numpy as np

from ..analysis.attribute_vectors import mean_difference
from ..data.faces import is_large, load_faces
from ..data.loading import DRAWN
from ..data.meaning import as_floats
from ..errors import ConfigurationError
from ..plots.images import attribute_sweep
from ..validation import positive_integer
from .pictures import add_picture_command, open_for_pictures, report_figure

VALUES = np.linspace(-1.0, 1.0, 9)


def add(commands: object) -> None:
    """Add the command's parser."""
    parser = add_picture_command(commands, "attribute", run, "move test images along an attribute vector",
                                 "runs/mnist5k-vae --attribute 3")
    parser.add_argument("--attribute", metavar="NAME", required=True,
                        help="a label of the data, such as 3; of faces a factor, such as eye_size")
    parser.add_argument("--n", type=int, default=5, help="how many images; default: 5")


def run(args: Namespace) -> tuple[dict, int]:
    """Draw dec(enc(x) + tΔ) for the first test images x."""
    positive_integer("n", args.n)
    record, model, data = open_for_pictures(args, only_vae=True)
    labels = _labels(args.attribute, record.config["data"], data)
    v = mean_difference(model.transform(data.train), labels)
    codes = model.transform(data.test[:args.n])
    z = codes[:, None] + VALUES[:, None] * v
    shown = None if data.test_labels is None else np.repeat(data.test_labels[:args.n], len(VALUES))
    images = model.decode(z.reshape(-1, model.n_latent), shown).reshape(*z.shape[:2], -1)
    originals = as_floats(data.test[:args.n, :model.n_visible], np.float64)
    figure = attribute_sweep(originals, images, data.image_shape, VALUES,
                             [f"test image {k}" for k in range(len(codes))],
                             f"dec(enc(x) + tΔ), Δ = mean code of {args.attribute} minus that of the others",
                             fields=data.fields)
    return report_figure(record, figure, f"attribute-{args.attribute}.png")


def _labels(name, source, data):
    """Return for every training row whether it has the attribute; raises ConfigurationError for an unknown one."""
    if source in DRAWN:
        known = load_faces()[0].factors
        if name in known:
            return is_large(known[name])
    elif data.train_labels is None:
        raise ConfigurationError(f"{data.name} has no labels; an attribute vector needs them. Train on data "
                                 "with labels.")
    else:
        known = {str(label): label for label in np.unique(data.train_labels)}
        if len(known) == 1:
            raise ConfigurationError(f"--attribute is {name!r}, but all training rows of {data.name} have the label "
                                     f"{min(known)}; expected several labels. Train on data that have them.")
        if name in known:
            return data.train_labels == known[name]
    raise ConfigurationError(f"--attribute is {name!r}; {data.name} has {', '.join(known)}. Choose one of them.")
