"""`scratchvae lambda`: the lambda lab."""
from argparse import Namespace

from .. import plots
from ..analysis.rate_distortion import BETAS, check_betas, rate_distortion
from ..data.loading import load_data
from ..errors import ConfigurationError
from .parser import add_command, add_lab_flags, out_path
from .progress import note_compilation
from .screen import print_filled, say


def add(commands: object) -> None:
    """Add the command's parser."""
    parser = add_command(commands, "lambda", run, "train at several weights of the KL, find the best for each data set",
                         "--data digits --betas 0.01,0.02,0.04")
    parser.add_argument("--data", metavar="NAME or PATH", action="append",
                        help="a data set; repeat the flag for several; default: digits and mnist5k")
    parser.add_argument("--betas", metavar="B,B,...", default=",".join(map(str, BETAS)),
                        help=f"weights of the KL against half the squared error; default: {','.join(map(str, BETAS))}")
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="epochs of each model; default: 20")
    parser.add_argument("--hidden", type=int, default=128, metavar="H", help="units in the hidden layer; default: 128")
    parser.add_argument("--latent", type=int, default=10, metavar="Z", help="latents; default: 10")
    parser.add_argument("--importance-samples", type=int, default=100, metavar="K",
                        help="samples of z for each held-out image; default: 100")
    add_lab_flags(parser, "of weights, noise and samples", "runs/lambda.png")


def _betas(text):
    try:
        betas = [float(word) for word in text.split(",")]
    except ValueError:
        raise ConfigurationError(f"--betas is {text!r}; expected numbers with commas between them. "
                                 "Pass for example 0.01,0.02,0.04.") from None
    return check_betas(betas)


def run(args: Namespace) -> tuple[dict, int]:
    """Train, print a table for each data set, draw a figure."""
    betas, path = _betas(args.betas), out_path("--figure", args.figure, ".png")
    sets = [load_data(source) for source in args.data or ("digits", "mnist5k")]
    note_compilation()
    curves = []
    for data in sets:
        def after_model(point, name=data.name):
            say(f"{name}: beta {point.beta:.4g}")

        curve = rate_distortion(data, betas, epochs=args.epochs, hidden=(args.hidden,), n_latent=args.latent,
                                importance_samples=args.importance_samples, seed=args.seed, after_model=after_model)
        _print(curve)
        curves.append(curve)
    plots.save(plots.rate_distortion(curves), path)
    print(path)
    rows = [{**curve._asdict(), "learned": curve.learned._asdict(), "points": [p._asdict() for p in curve.points]}
            for curve in curves]
    return {"datasets": rows, "figure": str(path)}, 0


def _print(curve):
    K = curve.learned.importance_samples
    print_filled(f"{curve.dataset}: {curve.learned.n} held-out images, binarization {curve.learned.binarization}, each "
                 f"model at its own sigma, K {K}")
    print(f"{'beta':>9s}{'sigma':>7s}{'rate':>8s}{'distortion':>12s}{'ELBO':>10s}{'log-likelihood':>20s}")
    for point in [*curve.points, curve.learned]:
        word = ("  learned" if point is curve.learned else "  best" if point.beta == curve.best_beta else "")
        print(f"{point.beta:9.4g}{point.sigma:7.3f}{point.rate:8.2f}{point.distortion:12.5f}{point.elbo:10.2f}"
              f"{point.log_likelihood:11.2f} +- {point.stderr:5.2f}{word}")
    edge = " (the smallest or largest one tried: a better one may lie beyond)" if curve.at_edge else ""
    print_filled(f"best beta {curve.best_beta:g}{edge}; the learned sigma implies {curve.implied_beta:.4g}, "
                 f"{curve.implied_beta / curve.best_beta:.2f} times that")
    print()
