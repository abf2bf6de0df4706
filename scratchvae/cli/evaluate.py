"""`scratchvae evaluate`: measure a run on its held-out data."""
import math
from argparse import Namespace

from ..analysis.elbo_decomposition import ledger
from ..analysis.evaluation import evaluate, HeldOut
from ..data.minibatch import BINARIZE
from ..errors import ConfigurationError, RunError
from ..vae import VAE
from ..validation import check_seed, positive_integer
from .parser import add_image_shape, add_run_command, add_transpose
from .progress import note_compilation
from .run_folder import open_run
from .screen import say


def add(commands: object) -> None:
    """Add the command's parser."""
    parser = add_run_command(commands, "evaluate", run, "measure a run on its held-out data")
    parser.add_argument("--data", metavar="NAME or PATH", help="measure on this data set's test part instead")
    add_image_shape(parser)
    add_transpose(parser)
    parser.add_argument("--importance-samples", type=int, default=1000, metavar="K",
                        help="samples of z for each image; default: 1000")
    parser.add_argument("--binarize", choices=BINARIZE, help="as the run was trained if absent; but a run on gray "
                        "pixels with a Bernoulli likelihood is then measured with dynamic binarization, because gray "
                        "pixels have no likelihood")
    parser.add_argument("--ledger", action="store_true", help="also print the parts of the loss, and those of the "
                        "difference between log p(x) and the ELBO")
    parser.add_argument("--seed", type=int, default=0, help="seed of the samples; default: 0")


def _data(record, meta, args):
    """Return the run's data, which may have moved to --data, or another set there."""
    if args.data is None or record.config.get("transpose") and not args.transpose:
        try:
            return record.load_data(meta, args.data, args.image_shape, args.transpose)
        except RunError:
            if args.data is None:
                raise
    return record.load_data(None, args.data, args.image_shape, args.transpose)


def run(args: Namespace) -> tuple[dict, int]:
    """Measure a run's ELBO and importance-sampled log-likelihood."""
    positive_integer("importance_samples", args.importance_samples)
    check_seed(args.seed)
    record = open_run(args.folder)
    model, meta, _ = record.load_model()
    if not isinstance(model, VAE):
        raise ConfigurationError(f"{args.folder} holds an autoencoder, which has no ELBO and no likelihood of its "
                                 "data. Evaluate a run of --model vae.")
    data = _data(record, meta, args)
    binarize = args.binarize or record.config.get("binarize", "none")
    if args.binarize is None and not HeldOut(model, data.test, args.seed, binarize).is_density:
        binarize = "dynamic"
        say("trained on gray pixels, which have no likelihood under a Bernoulli: measured on dynamically binarized "
            "pixels")
    note_compilation()
    result = evaluate(model, data.test, importance_samples=args.importance_samples, seed=args.seed, binarize=binarize)
    print(f"n {result.n}, pixels {result.binarization}, K {result.importance_samples}")
    if result.binarization == "gray":
        print(f"loss            {result.loss:10.3f} nats per example: gray pixels have no likelihood")
    else:
        print(f"ELBO            {result.elbo:10.3f} nats per example = - reconstruction {result.reconstruction:.3f} "
              f"- KL {result.kl:.3f}")
        print(f"log-likelihood  {result.log_likelihood:10.3f} +- {result.stderr:.3f} nats per example, effective "
              f"samples {result.effective_samples:.1f}")
    print(f"active units    {result.active_units:6d} of {model.n_latent}")
    if not args.ledger:
        return result._asdict(), 0
    account = ledger(model, data.test, importance_samples=args.importance_samples, seed=args.seed, binarize=binarize)
    _print_ledger(account)
    return {**result._asdict(), "ledger": account._asdict()}, 0


def _print_ledger(found):
    print(f"""
loss            {found.loss:10.3f} nats per example =
  reconstruction{found.reconstruction:10.3f}
  information   {found.mutual_information:10.3f} +- {found.mutual_information_stderr:.3f}, between x and z; at most \
log n = {found.log_n:.3f}
  KL(q(z)||p(z)){found.marginal_kl:10.3f} +- {found.mutual_information_stderr:.3f}""")
    if math.isnan(found.elbo):
        return
    exact = found.log_likelihood_by != "importance sampling"
    print(f"""log-likelihood  {found.log_likelihood:10.3f} +- {found.stderr:.3f} by {found.log_likelihood_by} \
{"" if exact else f"(K {found.importance_samples}, q optimized) "}=
  ELBO          {found.elbo:10.3f} +- {found.elbo_stderr:.3f}
  amortization  {found.amortization_gap:10.3f} +- {found.amortization_gap_stderr:.3f}, the cost of one encoder for all x
  approximation {found.approximation_gap:10.3f}{"" if exact else " at least"}, the cost of a diagonal Gaussian""")
    if math.isfinite(found.effective_sigma):
        print(f"effective sigma {found.effective_sigma:10.4f} a pixel")
