"""`scratchvae encode`, `interpolate`, `export`, `compare`: what a run has learned, for others to use."""
import math
from argparse import Namespace
from pathlib import Path

import numpy as np

from ..analysis.latent import interpolate
from ..errors import ConfigurationError, RunError
from ..history import Epoch, History
from ..model import Model
from ..model_files import save_run
from ..plots.images import image_rows
from ..storage.atomic import write_atomically
from ..vae import VAE
from .parser import add_run_command
from .pictures import add_picture_command, history_of, open_for_pictures, report_figure
from .run_folder import check_free, open_run, Run, run_name

ACTIVATIONS = {"relu": "np.maximum(a, 0)", "tanh": "np.tanh(a)", "sigmoid": "np.exp(-np.logaddexp(0, -a))",
               "softplus": "np.logaddexp(0, a)", "identity": "a"}
MEANS = {"bernoulli": ACTIVATIONS["sigmoid"], "gaussian_diagonal": "a[:, :a.shape[1] // 2]",
         "continuous_bernoulli": "np.where(np.abs(a) < 0.01, 0.5 + a / 12, 1 / (1 - np.exp(-w)) - 1 / w)"}
SCRIPT = '''"""Decode latents with NumPy alone, with the weights beside this file.

    python decode.py codes.npy images.npy

codes.npy holds (n, {n_inputs}) numbers, {codes}; images.npy gets E[x | z], (n, {n_visible}).
Without names 16 draws of z from N(0, I) are decoded into samples.npy.
"""
import sys
from pathlib import Path

import numpy as np

WEIGHTS = dict(np.load(Path(__file__).with_name("weights.npz")))
HIDDEN = {hidden}              # layers between the latents and the output


def decode(z):
    """Return E[x | z], (n, {n_visible}), for codes z (n, {n_inputs})."""
    y = np.asarray(z, float)
    for layer in range(HIDDEN):
        a = y @ WEIGHTS[f"decoder.{{layer}}.W"] + WEIGHTS[f"decoder.{{layer}}.b"]
        y = {activation}
    a = y @ WEIGHTS["decoder.head.W"] + WEIGHTS["decoder.head.b"]{guard}
    return {mean}


if __name__ == "__main__":
    draws = np.random.default_rng().standard_normal((16, {n_latent}))
    labels = np.eye({n_conditions})[np.arange(16) % max(1, {n_conditions})] if {n_conditions} else np.empty((16, 0))
    codes = np.load(sys.argv[1]) if sys.argv[1:] else np.hstack([draws, labels])
    np.save(sys.argv[2] if sys.argv[2:] else "samples.npy", decode(codes))
'''


def add(commands: object) -> None:
    """Add the parsers of the four commands."""
    encode = add_picture_command(commands, "encode", run_encode, "write the codes of a run's data, the means of "
                                 "q(z | x)", "runs/mnist5k-vae --to codes.csv")
    encode.add_argument("--to", metavar="FILE", required=True, help="a .csv with labels, or an .npy of (n, Z)")
    encode.add_argument("--part", choices=("test", "train"), default="test", metavar="PART",
                        help="test or train; default: test")
    walk = add_picture_command(commands, "interpolate", run_interpolate, "draw images between two test images",
                               "runs/mnist5k-vae --from 3 --to 7")
    for name in ("from", "to"):
        walk.add_argument(f"--{name}", dest=f"{name}_image", type=int, metavar="I", required=True,
                          help="the number of a test image, from 0 on")
    walk.add_argument("--n", type=int, default=9, help="how many images, both ends included; default: 9")
    export = add_run_command(commands, "export", run_export, "write a run's weights, and a script that decodes with "
                             "NumPy alone", "runs/mnist5k-vae --to decoder")
    export.add_argument("--to", metavar="FOLDER or FILE", help="where they go; RUN/export if absent. A file, whose "
                        "name ends in .npz, gets the model in half the digits, for load_model")
    compare = add_run_command(commands, "compare", run_compare, "print settings and held-out losses of two runs side "
                              "by side", "runs/mnist5k-vae runs/digits-vae")
    compare.add_argument("other", metavar="RUN", help="the run to compare it with")


def run_encode(args: Namespace) -> tuple[dict, int]:
    """Write posterior means, (n, Z), of one part of the data."""
    path = Path(args.to)
    if "\0" in args.to or path.suffix.lower() not in (".csv", ".npy"):
        raise ConfigurationError(f"--to is {args.to!r}; expected a file's name that ends in .csv or .npy. Pass for "
                                 "example codes.csv.")
    check_free("--to", path)
    _, model, data = open_for_pictures(args, only_vae=False)
    rows, labels = (data.test, data.test_labels) if args.part == "test" else (data.train, data.train_labels)
    codes = model.transform(rows)
    names, columns = [f"z{k + 1}" for k in range(model.n_latent)], codes.astype(float)
    if labels is not None:
        names, columns = ["label", *names], np.column_stack([labels.astype(object), columns.astype(object)])
    digits = ["%d"] * (labels is not None) + ["%.9g" if model.dtype == "float32" else "%.17g"] * model.n_latent
    write_atomically(path, lambda file: np.save(file, codes) if path.suffix.lower() == ".npy" else np.savetxt(
        file, columns, digits, ",", header=",".join(names), comments=""))
    print(f"{path}  {len(codes):,} codes of {model.n_latent} numbers")
    return {"file": str(path), "n": len(codes), "n_latent": model.n_latent}, 0


def run_interpolate(args: Namespace) -> tuple[dict, int]:
    """Draw the decoded means on the straight and the spherical path between two codes."""
    run, model, data = open_for_pictures(args, only_vae=True)
    ends = args.from_image, args.to_image
    for name, place in zip(("--from", "--to"), ends):
        if not 0 <= place < len(data.test):
            raise ConfigurationError(f"{name} is {place}; the test part has images 0 to {len(data.test) - 1}. Choose "
                                     "one of them.")
    a, b = model.transform(data.test[list(ends)])
    paths = {"straight": interpolate(a, b, args.n)}
    if model.n_latent > 1:                                         # on a line there is no arc
        paths["spherical"] = interpolate(a, b, args.n, path="spherical")
    label = None if data.test_labels is None else data.test_labels[ends[0]]      # of conditions: the first image's
    images = model.decode(np.concatenate(list(paths.values())), label).reshape(len(paths), args.n, -1)
    figure = image_rows(images, data.image_shape, list(paths), f"From test image {ends[0]} to {ends[1]}"
                        + f", decoded for label {label}" * (model.n_conditions > 0),
                        values=np.linspace(0, 1, args.n), label="how far from the one code to the other",
                        fields=data.fields)
    return report_figure(run, figure, f"interpolation-{ends[0]}-{ends[1]}.png")


def run_export(args: Namespace) -> tuple[dict, int]:
    """Write weights.npz, every segment by its name, and decode.py; or one file with a model in float16."""
    run = open_run(args.folder)
    model, _, arrays = run.load_model()
    if (args.to or "").lower().endswith(".npz"):
        check_free("--to", Path(args.to))
        return _export_model(run, model, history_of(run, arrays), Path(args.to))
    if args.to == "" or "\0" in (args.to or ""):
        raise ConfigurationError(f"--to is {args.to!r}; expected a folder, or a file whose name ends in .npz. Choose "
                                 "for example decoder.")
    folder = run.folder / "export" if args.to is None else Path(args.to)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error.strerror}. Choose another folder (--to).") from error
    name = model.likelihood.name
    script = SCRIPT.format(n_latent=model.n_latent, n_conditions=model.n_conditions, n_visible=model.n_visible,
                           hidden=len(model.hidden), n_inputs=model.n_latent + model.n_conditions,
                           codes="z and one-hot columns of the label" if model.n_conditions else "z",
                           activation=ACTIVATIONS[model.activation], mean=MEANS.get(name, "a"),
                           guard="\n    w = np.where(a == 0, 1, a)" * (name == "continuous_bernoulli"))
    paths = [folder / "weights.npz", folder / "decode.py"]
    write_atomically(paths[0], lambda file: np.savez(file, **dict(model.parameters.segments())))
    write_atomically(paths[1], lambda file: file.write(script.encode()))
    print(*paths, sep="\n")
    return {"file": [str(path) for path in paths]}, 0


def _export_model(run: Run, model: Model, history: History, path: Path) -> tuple[dict, int]:
    """Write settings, parameters and losses.

    The state of training would be two thirds of the file, and the rates of each epoch follow from the settings.
    """
    config = {**run.config, "data": run_name(run.config["data"]), "epochs": len(history)}
    with np.errstate(over="ignore"):
        numbers = model.parameters.layout.pack(model.parameters.flat).astype(np.float16)
    if not np.isfinite(numbers).all():
        largest = np.abs(model.parameters.flat).max()
        raise RunError(f"{run.folder} has a parameter of size {largest:.4g}; half precision ends at 65504. Scale the "
                       "data and train anew, or export to a folder.")
    losses = np.array(history, np.float32)[:, :Epoch._fields.index("learning_rate")]
    save_run(model, path, {"config": config}, {"parameters": numbers, "history": losses})
    print(path)
    return {"file": str(path)}, 0


def _side(folder):
    """Return (settings, numbers of the kept epoch, fingerprints of the data) of a run."""
    run = open_run(folder)
    model, meta, arrays = run.load_model()
    history = history_of(run, arrays)
    settings = {name: value for name, value in run.config.items() if name != "scratchvae"}
    epoch = history.best() if run.config.get("keep") == "best" else len(history)
    last = history[epoch - 1] if history else Epoch(*[math.nan] * len(Epoch._fields))
    return settings, {
        "epochs trained": len(history), "epoch kept": epoch, "parameters": model.parameters.flat.size,
        "training loss": last.train_loss, "held-out loss": last.test_loss, "reconstruction": last.test_reconstruction,
        "KL": last.test_kl if isinstance(model, VAE) else math.nan, "seconds": sum(history.column("seconds")),
    }, (meta.get("data") or {}).get("fingerprints")


def run_compare(args: Namespace) -> tuple[dict, int]:
    """Print the settings that differ, and the losses of the epochs that each run kept."""
    settings, losses, data = zip(*map(_side, (args.folder, args.other)))
    pairs = {name: [side.get(name) for side in settings] for name in {**settings[0], **settings[1]}}
    different = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    numbers = {name: [side[name] for side in losses] for name in losses[0]}
    rows = [("", args.folder, args.other),
            *((name, *map(str, pair)) for name, pair in different.items()),
            *((name, *(f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" for value in pair))
              for name, pair in numbers.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for name, *pair in rows:
        print(f"{name:{widths[0]}}  " + "  ".join(f"{text:>{width}}" for text, width in zip(pair, widths[1:])))
    same_data = data[0] == data[1] if all(data) else None
    if not same_data:
        print("The two runs have different held-out data: their losses do not compare." if all(data) else
              "It is not recorded whether the two runs have the same held-out data. Only then do their losses compare.")
    return {"settings": different, "numbers": numbers, "same_data": same_data}, 0
