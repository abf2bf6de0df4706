"""Held-out losses to compare with published ones, over seeds.

    python benchmarks/quality.py [--mnist FOLDER] [--seeds 0 1 2] [--json FILE]

"default" is `scratchvae train`; "pytorch/examples" is the model of pytorch/examples' vae/main.py on the full MNIST
(784-400-20, relu, batch 128, Adam 1e-3, gray pixels, 7 epochs: published 106.66 nats held-out, from that
repository's pull request 1416), for which --mnist names the folder of IDX files.
"""
import argparse
import math
import time

import numpy as np
from _harness import machine, report, say

from scratchvae import evaluate, load_data, VAE
from scratchvae.cli.train import TRAIN_DEFAULTS


def trained(data, epochs, seed, **settings):
    """Return (model, history, seconds) of a 784-400-20 model."""
    start = time.perf_counter()
    vae = VAE(data.train.shape[1], seed=seed)
    vae.fit(data.train, epochs=epochs, validation=data.test, seed=seed, **settings)
    return vae, vae.history_, time.perf_counter() - start


def summarize(name, rows, key):
    """Say and return the median and the range of one figure over the seeds."""
    values = [row[key] for row in rows]
    say(f"  {key:24s} {np.median(values):10.3f}  ({min(values):.3f} to {max(values):.3f} over {len(values)} seeds)")
    return {f"{name} {key}": [float(np.median(values)), min(values), max(values)]}


def main():
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", metavar="FOLDER", help="the full MNIST as IDX files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", metavar="FILE", help="write all rows there")
    options = parser.parse_args()
    say(" ".join(f"{key} {value}" for key, value in machine().items()))
    rows, summary = [], {}

    say(f"default: mnist5k, {TRAIN_DEFAULTS['epochs']} epochs")
    data, group = load_data("mnist5k"), []
    for seed in options.seeds:
        vae, history, seconds = trained(data, TRAIN_DEFAULTS["epochs"], seed)
        result = evaluate(vae, data.test, importance_samples=1000, binarize="dynamic")
        group.append({"name": "default", "seed": seed, "test_loss": history[-1].test_loss,
                      "elbo": result.elbo, "log_likelihood": result.log_likelihood, "stderr": result.stderr,
                      "seconds": seconds})
    for key in ("test_loss", "elbo", "log_likelihood", "stderr", "seconds"):
        summary |= summarize("default", group, key)
    rows += group

    if options.mnist:
        say("pytorch/examples: MNIST, 7 epochs")
        data, group = load_data(options.mnist), []
        for seed in options.seeds:
            _, history, seconds = trained(data, 7, seed)
            model = VAE(784, seed=seed).fit(data.train[:128], epochs=1, seed=seed, output_bias="zero")
            first = model.history_.first_loss
            group.append({"name": "pytorch/examples", "seed": seed, "test_loss": history[-1].test_loss,
                          "first_loss / 784 log 2": first / (784 * math.log(2)), "seconds": seconds})
        for key in ("test_loss", "first_loss / 784 log 2", "seconds"):
            summary |= summarize("pytorch/examples", group, key)
        rows += group
    else:
        say("pytorch/examples: skipped, no --mnist")
    report(rows, summary, options.json)


if __name__ == "__main__":
    main()
