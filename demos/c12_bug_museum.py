"""The museum of bugs: planted faults, the curves that hide them, the detectors that find them.

The package plants faults into itself, one at a time, each seen in a real VAE, and asks all of its detectors.
A gradient check compares the gradient with the loss.  If both are wrong alike it finds nothing, and a learning curve
falls with a wrong loss as it does with a right one.  So each claim of the course has a detector of its own:

T8: is z really mu + sigma eps, with eps fresh and from N(0, I), and is the gradient that of the draw?
T10: does log sigma^2 become sigma, and not sigma^2?  "variance_for_sigma" has the right gradient of the wrong sampler.
T15: is the reported bound the ELBO, and does it stay below log p(x)?  An exact oracle knows log p(x).
"""
from demos.plots.museum import convictions_by_group, curves_with_bugs
from scratchvae import load_data
from scratchvae.bugs import BUGS, demonstrate, detections, DETECTORS, examine, FILES, random_case, train_both

from .course import Claim, main, Result

TITLE = "The bug museum: what finds which fault"
HANDFUL = ("missing_half", "flipped_kl", "variance_for_sigma", "adam_without_bias_correction", "frozen_noise",
           "bound_without_kl", "prior_is_uniform")
SHOWN = {"variance_for_sigma": "lower each time: less noise\nthan the KL pays for, no bound",  # and why it falls so
         "adam_without_bias_correction": "no worse: steps that start up\nto 6.6 times as large",
         "never_shuffled": "no worse: the file is\nmixed as it is"}


def run(settings):
    """Plant the bugs and ask the detectors; train with some of them."""
    data = load_data("digits")
    shown, epochs = (list(SHOWN)[:1], 4) if settings.quick else (list(SHOWN), 12)
    runs = {name: demonstrate(name, data, epochs=epochs, seed=settings.seed) for name in shown}
    found = {}
    for name in HANDFUL if settings.quick else BUGS:
        said = runs[name].findings if name in runs else detections(name, settings.seed)
        found[name] = [detector for detector, text in said.items() if text]
    innocent = [name for name, text in examine(random_case(settings.seed)).items() if text]
    caught = sum(map(bool, found.values()))
    by_gradient = sum("gradient check" in names for names in found.values())
    claims = [
        Claim("T8", "No detector finds a bug in the package as it is",
              f"{len(innocent)} of {len(DETECTORS)}", f"0 of {len(DETECTORS)}", not innocent),
        Claim("T8", "Every planted bug is found by the detectors that its label names",
              f"{sum(set(BUGS[name].detected_by) <= set(names) for name, names in found.items())} of {len(found)} "
              f"({caught} by any)", f"{len(found)} of {len(found)}",
              all(names and set(BUGS[name].detected_by) <= set(names) for name, names in found.items())),
        Claim("T8", "A gradient check alone misses many", f"finds {by_gradient} of {len(found)}",
              "at least 1, at most two thirds", 1 <= by_gradient <= 2 * len(found) / 3),
        Claim("T10", "variance_for_sigma passes the gradient check; the sampler's moments find it",
              f"{found['variance_for_sigma'].count('gradient check')} and "
              f"{found['variance_for_sigma'].count('sampler moments')}", "0 and 1",
              "gradient check" not in found["variance_for_sigma"] and "sampler moments" in found["variance_for_sigma"]),
        Claim("T15", "A bound reported without its KL is found by the oracle that knows log p(x)",
              f"{found['bound_without_kl'].count('linear-Gaussian oracle')} (gradient check: "
              f"{found['bound_without_kl'].count('gradient check')})", "1 (gradient check: 0)",
              "linear-Gaussian oracle" in found["bound_without_kl"]
              and "gradient check" not in found["bound_without_kl"])]
    for name, both in runs.items():
        first, last, right = both.wrong[0].test_loss, both.wrong[-1].test_loss, both.right[-1].test_loss
        claims.append(Claim("T10" if name == "variance_for_sigma" else "T8",
                            f"The learning curve does not tell: with {name} the held-out loss falls as well",
                            f"{first:.2f} to {last:.2f} nats; right: {right:.2f} nats", "falls to within 20 % of right",
                            not both.stopped and last < first and abs(last / right - 1) < 0.2))
    panels = {}
    for name, both in runs.items():
        seeds = [both, *(train_both(name, data, epochs=epochs, seed=settings.seed + k) for k in (1, 2))]
        panels[f"{name}\n{SHOWN[name]}"] = [[[epoch.test_loss for epoch in pair[which]] for pair in seeds]
                                            for which in (0, 1)]
    groups = {}
    for file in FILES:
        names = [name for name in found if BUGS[name].make.__module__ == file.__name__]
        groups |= {file.__name__.rpartition(".")[2]: names} if names else {}
    text = "\n\n".join(
        "\n".join([f"{group} ({len(names)})", *(f"  {name}: {', '.join(found[name])}" for name in names)])
        for group, names in groups.items())
    return Result(claims, {
        "convictions": convictions_by_group({group: [found[name] for name in names] for group, names in groups.items()},
                                            list(DETECTORS)),
        "curves": curves_with_bugs(panels)}, text)


if __name__ == "__main__":
    main(run)
