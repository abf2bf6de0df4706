"""`scratchvae estimators`: the estimator lab."""
import math
from argparse import Namespace

from .. import plots
from ..analysis.estimator_comparison import measure_estimators
from .parser import add_command, add_lab_flags, out_path
from .progress import note_compilation
from .screen import print_filled

SCENES = {"oracle": "linear-Gaussian VAE, q a little off the posterior; z against the exact expectation",
          "posterior": "the same with q = p(z | x)",
          "digits": "a VAE trained on digits; z against another estimator of the same expectation"}


def add(commands: object) -> None:
    """Add the command's parser."""
    parser = add_command(commands, "estimators", run, "measure bias, variance, signal-to-noise and cost of each "
                         "gradient estimator", "--draws 4096")
    parser.add_argument("--draws", type=int, default=65536, metavar="N",
                        help="draws of noise for each example, a multiple of 64; the bias is judged from "
                        "32 times K on; default: 65536")
    parser.add_argument("--epochs", type=int, default=20, metavar="N",
                        help="epochs of training of the digits' VAE; default: 20")
    add_lab_flags(parser, "of weights and noise", "runs/estimators.png")


def run(args: Namespace) -> tuple[dict, int]:
    """Measure, print a table, draw a figure."""
    path = out_path("--figure", args.figure, ".png")
    note_compilation()
    rows = measure_estimators(args.draws, args.epochs, seed=args.seed)
    for scene, what in SCENES.items():
        print_filled(f"{scene}: {what}")
        print(f"{'estimator':15s}{'K':>3s}  {'baseline':14s}{'bias z':>7s}{'variance':>10s}{'signal/noise':>13s}"
              f"{'time':>8s}")
        for row in rows:
            if row.scene == scene:
                ratio = "-" if math.isnan(row.signal_to_noise) else f"{row.signal_to_noise:.3g}"
                bias = "-" if math.isnan(row.bias_z) else f"{row.bias_z:.2f}"
                print(f"{row.estimator:15s}{row.n_samples:3d}  {row.baseline:14s}{bias:>7s}{row.variance:10.3g}"
                      f"{ratio:>13s}{row.step_time:7.1f}x{' biased' if row.biased else ''}")
        print()
    found = {(row.scene, row.estimator, row.baseline): row.variance for row in rows}
    ratio = found["digits", "score_function", "none"] / found["digits", "analytic", "none"]
    print(f"T8: on digits, the score function's variance is {ratio:,.0f} times that of the pathwise gradient.")
    plots.save(plots.estimator_lab(rows), path)
    print(path)
    return {"estimators": [row._asdict() for row in rows], "score_function_variance_ratio": ratio,
            "figure": str(path)}, 0
