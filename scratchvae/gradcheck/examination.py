"""examine_vae: what the detectors of wrong VAEs find in anybody's code, through the functions that it has."""
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import as_array
from ..errors import ConfigurationError, ShapeError
from ..validation import at_least, function_of, number, one_of
from . import properties
from .comparison import broken, Checks, not_asked, note
from .foreign import check_gradient, ROUNDING_32, used_by
from .hints.anatomy import Anatomy
from .optimizer_rules import optimizer
from .properties import agree, EXACT
from .trees import as_number
from .vae_functions import accepts, FUNCTIONS, is_number, SINGLE, VAEFunctions

OUTPUTS, REDUCTIONS = ("probabilities", "logits", "means"), ("mean", "sum")
EXAMPLES = 8                            # rows of x that are looked at, at most
DRAWS = 4000                            # of pixels
DRAWS_OF_Z = 40_000                     # a sigma that is 5 % off is seen
PIXELS = 8                              # over whose 2^8 values a sum is taken; of more, the first 3
TRAINED = 3                             # steps after which the gradient is looked at again
PARTS, OWN_NOISE = "objective to return (loss, reconstruction, kl)", "functions that take eps"
ONE_ROW = "functions that take a batch of one row"


def _sampler(vae: VAEFunctions) -> list:
    if accepts(vae.given["draw"], "mu", "logvar", "eps"):
        mu, logvar, eps = np.random.default_rng(0).standard_normal((3, 4, 3 if vae.eps is None else vae.eps.shape[1]))
        return [properties.sampler(vae.draw, mu, logvar, eps, vae.tolerance)]
    mu, logvar = np.tile([[-0.8, 0.8]], (DRAWS_OF_Z, 1)), np.tile([[1.2, -1.2]], (DRAWS_OF_Z, 1))
    fault = properties.noise_fault([(vae.draw(mu, logvar) - mu) * np.exp(-logvar / 2) for _ in range(2)])
    return [broken("sampler", fault) if fault else note("sampler", "")]


def _encode(vae: VAEFunctions) -> list:
    try:
        alone = [np.hstack(vae.posterior(vae.x[i:i + 1])) for i in range(len(vae.x))]
    except ShapeError:                                            # the code has buffers for batches of one size
        return [not_asked("encode one by one", ONE_ROW)]
    return [agree("encode one by one", np.hstack(vae.posterior(vae.x)), np.concatenate(alone),
                  "an example has another posterior alone than in a batch: are the batch's statistics used?",
                  tolerance=vae.tolerance)]


def _nll(vae):
    """Return the nll averaged over the batch, of the functions called one after the other."""
    decoded = vae.decode(vae.draw(*vae.posterior(vae.x), vae.eps))
    return float(np.mean([vae.cost(*pair) for pair in zip(vae.x, decoded)]))


def _by_parts(vae):
    return vae.has("draw", "decode", "nll") and vae.takes_eps and accepts(vae.given["draw"], "mu", "logvar", "eps")


def _is_sampled(vae: VAEFunctions, kl: float, tolerance: float) -> bool:
    """Return True if a KL is that of the draws, log q(z | x) - log p(z), whose mean is the closed form (S1)."""
    if not vae.has("encode") or not vae.takes_eps:
        return False
    mu, logvar = vae.posterior(vae.x)
    z = mu + np.exp(logvar / 2) * vae.eps
    return not properties.differs(kl, 0.5 * float(np.sum(z**2 - vae.eps**2 - logvar)) / len(z), tolerance)


def _kl(vae: VAEFunctions) -> list:
    parts = vae.parts(vae.x, vae.eps)
    if len(parts) == 1 and not (_by_parts(vae) and vae.beta):
        return [not_asked("KL", f"{PARTS}, or draw, decode and nll")]
    kl = vae.per_example(parts[2]) if len(parts) == 3 else (vae.per_example(parts[0]) - _nll(vae)) / vae.beta
    mu, logvar = vae.posterior(vae.x)
    lost = ROUNDING_32 * abs(parts[0]) / vae.beta if len(parts) == 1 and vae.tolerance == SINGLE else 0.0
    if _is_sampled(vae, kl, vae.tolerance + lost):
        return [note("KL", "")]
    return [properties.kl_divergence(kl, mu, logvar, vae.tolerance + lost, vae.reduction)]


def _reconstruction(vae: VAEFunctions) -> list:
    parts = vae.parts(vae.x, vae.eps)
    if len(parts) == 1 or not _by_parts(vae):
        return [not_asked("reconstruction", PARTS if len(parts) == 1 else OWN_NOISE)]
    found, right = vae.per_example(parts[1]), _nll(vae)
    return [agree("reconstruction", found, right, "it is not the nll at what decode makes of the posterior's draws", {
        "it is averaged over the pixels": right / vae.x.shape[1],
        **properties.batch_mistakes(right, len(vae.x), vae.reduction)}, vae.tolerance)]


def _loss(vae: VAEFunctions) -> list:
    parts = vae.parts(vae.x, vae.eps)
    if len(parts) == 1:
        return [not_asked("loss = reconstruction + beta KL", PARTS)]
    takes_beta = vae.repeats and "beta" in vae.arguments("objective")
    checks = properties.beta_linearity(
        lambda beta: vae.parts(vae.x, vae.eps, beta=beta) if takes_beta else
        (parts[0] + (beta - vae.beta) * parts[2], *parts[1:]), vae.beta, vae.tolerance)
    sampled = _is_sampled(vae, vae.per_example(parts[2]), vae.tolerance)                  # it may be negative
    return [not_asked("beta", "objective to take beta=") if check.name == "beta" and not takes_beta else
            note(check.name, "") if check.name == "KL >= 0" and sampled else check for check in checks]


def _noise(vae: VAEFunctions) -> list:
    if vae.same_noise:
        return [broken("noise", "the loss depends on a row's place in the batch, and not on eps: objective draws the "
                       "same noise at every call. Use eps; if it is seeded for this examination alone, pass reseed=")]
    if not vae.takes_eps:
        return [not_asked("noise", OWN_NOISE)]
    far = np.full_like(vae.eps, 100)                              # wakes a decoder whose ReLUs are all off at z near 0
    noise = vae.eps, 1 - vae.eps, far, -far
    losses = {vae.loss(vae.x, eps) for eps in noise}
    if len(losses) == 1 and vae.has("decode"):
        decoded = vae.decode(np.concatenate(noise))
        if np.all(decoded == decoded[0]):                         # as with a last layer of zeros
            return [not_asked("noise", "a decode that changes with z")]
    return [note("noise", "") if len(losses) > 1 else broken("noise", "the loss does not depend on eps: is z = mu?")]


def _batch(vae: VAEFunctions) -> list:
    if not vae.takes_eps or len(vae.x) == 1:
        return [not_asked("batch", "x of two rows or more" if vae.takes_eps else OWN_NOISE)]
    gradient = vae.numbers if vae.has("gradient", "params") and vae.gradient_repeats() else None
    try:
        return properties.independence(vae.loss, gradient, vae.x, vae.eps, vae.reduction, vae.tolerance)
    except ShapeError:
        return [not_asked("batch", ONE_ROW)]


def _latent(vae, seed):
    return np.random.default_rng(seed).standard_normal((1, vae.eps.shape[1]))


def _pixels(vae: VAEFunctions) -> list:
    decoded = vae.decode(_latent(vae, 0))[0]
    decoded = decoded[:2 if vae.outputs == "means" else 3 if len(decoded) > PIXELS else None]
    if vae.outputs == "probabilities" and not np.all((decoded >= 0) & (decoded <= 1)):
        return [broken("pixel mean", f"decode gives {decoded.min():.3g} to {decoded.max():.3g}, and these should be "
                       'probabilities: are these logits? If nll takes them, pass outputs="logits"')]
    sigma = None
    if vae.outputs == "means":                                    # nll is quadratic in x: its curvature is n / sigma^2
        at = [vae.cost(decoded + shift, decoded) for shift in (-1.0, 0.0, 1.0)]
        sigma = float(np.sqrt(len(decoded) / max(at[0] - 2 * at[1] + at[2], 1e-12)))
    return properties.total_probability(lambda x: vae.cost(x, decoded), vae.mean(decoded), sigma, vae.tolerance)


def _extremes(vae: VAEFunctions) -> list:
    if vae.outputs == "means":
        return [not_asked("extreme outputs", "pixels that are black or white")]
    return [properties.extreme_outputs(vae.cost, vae.outputs == "logits", vae.tolerance)]


def _generated(vae: VAEFunctions) -> list:
    z = _latent(vae, 1)
    drawn = vae.rows("generate", vae.call("generate", np.repeat(z, DRAWS, axis=0)), DRAWS)
    return [properties.pixel_draws(drawn, vae.mean(vae.decode(z))[0])]


def _update(vae: VAEFunctions) -> list:
    return [optimizer(lambda theta, gradient: vae.call("update", theta, gradient), vae.learning_rate,
                      vae.given["betas"])]


def _gradient(vae: VAEFunctions, when: str = "") -> list:
    anatomy = Anatomy(vae) if vae.has("encode") else None
    with vae.snapshot() as snapshot:                              # code that is wrong may put other arrays there
        checks = check_gradient(lambda: vae.loss(vae.x, vae.eps), lambda: vae.gradient_tree(vae.x, vae.eps)[1],
                                snapshot.arrays, reseed=vae.given.get("reseed"),
                                roles=anatomy.roles if anatomy else None)
    head = anatomy.head_checks(checks) if anatomy and not vae.wrong & {"sampler", "KL"} else []
    return [check._replace(name=f"gradient{when}: {check.name}") for check in [*checks, *head]]


def _reported(vae: VAEFunctions) -> list:
    loss, reported = vae.loss(vae.x, vae.eps), vae.gradient_tree(vae.x, vae.eps)[0]
    if reported is None:
        return [not_asked("loss of gradient", "gradient to return (loss, tree)")]
    return [agree("loss of gradient", as_number(reported, "gradient"), loss,
                  "gradient reports another loss than objective", tolerance=vae.tolerance)]


def _step(vae: VAEFunctions) -> list:
    """Return the Checks of what a step reports and uses; the parameters are restored."""
    snapshot, loss = vae.snapshot(), vae.loss(vae.x, vae.eps)
    right = vae.numbers(vae.x, vae.eps) if (
        vae.own_gradient and vae.has("learning_rate") and vae.gradient_repeats()) else None
    reported = vae.call("step", vae.x, vae.eps)
    if not snapshot.changed():
        raise ConfigurationError("step changes none of the arrays in params; expected new values. If it replaces them "
                                 "(W = W - ...), pass the object or the dict that holds them as params.")
    snapshot.restore()
    checks = [agree("loss of step", as_number(reported, "step"), loss,
                    "step reports another loss than objective has at its parameters", tolerance=vae.tolerance)
              if is_number(reported) else not_asked("loss of step", "step to return the loss that it reports")]
    if right is None:
        return [*checks, not_asked("gradient of step", "gradient, and learning_rate of a plain gradient step")]
    used = used_by(lambda: vae.call("step", vae.x, vae.eps), vae.snapshot(), vae.learning_rate)
    slack = max(float(np.max(rounding, initial=0.0)) for rounding in used.rounding.values())
    return [*checks, agree("gradient of step", np.concatenate([array.ravel() for array in used.values()]), right,
                           "step uses another gradient", tolerance=vae.tolerance + slack)]


def _trained(vae: VAEFunctions) -> list:
    if any(name.startswith("gradient: ") for name in vae.wrong):
        return [not_asked("gradient after training", "a gradient that is right before")]
    with vae.snapshot():
        for _ in range(TRAINED):
            vae.call("step", vae.x, vae.eps)
        return _gradient(vae, when=f" after {TRAINED} steps")


QUESTIONS: list[tuple[str, tuple, Callable]] = [
    ("sampler", ("draw",), _sampler),
    ("encode one by one", ("encode", "x"), _encode),
    ("reconstruction", ("encode", "draw", "decode", "nll", "objective", "x", "eps"), _reconstruction),
    ("KL", ("encode", "objective", "x", "eps"), _kl),
    ("loss = reconstruction + beta KL", ("objective", "x", "eps"), _loss),
    ("noise", ("objective", "x", "eps"), _noise),
    ("batch", ("objective", "x", "eps"), _batch),
    ("pixel mean", ("decode", "nll", "eps"), _pixels),
    ("extreme outputs", ("nll",), _extremes),
    ("generated pixels", ("decode", "generate", "eps"), _generated),
    ("optimizer", ("update",), _update),
    ("loss of gradient", ("objective", "gradient", "params", "x", "eps"), _reported),
    ("gradient", ("objective", "gradient", "params", "x", "eps"), _gradient),
    ("step", ("objective", "step", "params", "x", "eps"), _step),
    ("gradient after training", ("objective", "gradient", "step", "params", "x", "eps"), _trained)]


def _asked(vae: VAEFunctions, ask: Callable) -> list:
    """Return the Checks of a question; what is wrong in code that computes in float32 is asked with its tolerance."""
    tolerance, checks = vae.tolerance, ask(vae)
    if tolerance == EXACT and any(not check.ok for check in checks) and (vae.tolerance == SINGLE or vae.in_float32):
        vae.tolerance = SINGLE
        checks = ask(vae)
    return checks


def examine_vae(*, encode: Callable | None = None, draw: Callable | None = None, decode: Callable | None = None,
                nll: Callable | None = None, objective: Callable | None = None, gradient: Callable | None = None,
                step: Callable | None = None, params: Any = None, update: Callable | None = None,
                generate: Callable | None = None, x: Any = None, eps: Any = None, beta: float = 1.0,
                learning_rate: float | None = None, outputs: str = "probabilities", reduction: str = "mean",
                betas: tuple = (0.9, 0.999), reseed: Callable | None = None) -> Checks:
    """Examine a VAE that others wrote, with every detector that the given functions allow.

    A gradient check cannot see a wrong loss whose gradient is right: a wrong sampler, KL or likelihood, an optimizer,
    or what is generated.  These are asked here as well.  Examples are rows everywhere; a lambda brings other code into
    these forms.  Parameters are varied and restored; what a step changes besides, such as moments, stays changed.

    Parameters
    ----------
    encode : callable, optional
        encode(x) -> (mu, logvar), (n, Z) each; logvar is log sigma^2.
    draw : callable, optional
        draw(mu, logvar, eps) -> z; or draw(mu, logvar), whose moments are then measured: a sigma 5 % off is seen.
    decode : callable, optional
        decode(z) -> (n, D), what nll takes; `outputs` says what it means.
    nll : callable, optional
        nll(x, decoded) -> -log p(x | z) in nats, summed over the pixels; it is called with one row at a time.
    objective : callable, optional
        objective(x, eps) -> loss, or (loss, reconstruction, kl), the kl in closed form or of the draws.  If it takes
        beta=, other weights are tried as well.
    gradient : callable, optional
        gradient(x, eps) -> a tree like params, or (loss, tree), of the last objective.
    step : callable, optional
        step(x, eps) trains; it may return the loss that it reports, which is that of the parameters before the step.
    params : array, dict, list, tuple or object with arrays as attributes, optional
        As in `check_gradient`.
    update : callable, optional
        update(param, gradient) -> the new array, or changes it: SGD with or without momentum, or Adam.  It is called
        ten times or fewer for one array, which is new to it.
    generate : callable, optional
        generate(z) -> pixels (n, D) drawn from p(x | z).
    x, eps : ndarray, optional
        Data (n, D), of which 8 rows are used, and noise (n, Z).  Noise is drawn if there is an encode.
    beta : float
        The weight of the KL in objective.
    learning_rate : float, optional
        Of a step that is plain gradient descent, whose gradient is then looked at, and of update.
    outputs : str
        "probabilities" or "logits" of pixels that are black or white, or "means" of a Gaussian with one fixed sigma.
    reduction : str
        "mean" or "sum": what losses do with the examples of a batch.
    betas : tuple of float
        Adam's decay rates; SGD's momentum is the first.
    reseed : callable, optional
        reseed() resets the generator of an objective that draws its own noise.

    Returns
    -------
    Checks
        One a question, and one an array for the gradient.  Each is right ("ok"), a finding with a hint, or "not asked",
        which says what it needs; `assert_ok` refuses findings.  `analytic` is what was found, and `numeric` what it
        should be.

    Raises
    ------
    ConfigurationError, ShapeError
        If nothing can be asked, or a function fails or returns something else.

    Examples
    --------
    >>> checks = examine_vae(draw=lambda mu, logvar, eps: mu + np.exp(logvar) * eps)
    >>> checks[0].verdict, checks[0].hint
    ('WRONG', 'z is not mu + exp(logvar / 2) eps: exp(logvar) = sigma^2 stands for sigma')
    >>> checks[1].verdict
    'not asked: needs encode, x'
    """
    given = dict(locals())
    for name, form in FUNCTIONS.items():
        if given[name] is not None:
            function_of(name, given[name], form)
    one_of("outputs", outputs, OUTPUTS)
    one_of("reduction", reduction, REDUCTIONS)
    at_least("beta", beta, 0, "Pass the KL's weight in objective.")
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ConfigurationError(f"betas is {betas!r}; expected two decay rates. Pass for example (0.9, 0.999).")
    for rate in betas:
        number("betas", rate, 0, 1, "Pass Adam's decay rates.")
    for name in ("x", "eps"):
        if given[name] is not None:
            given[name] = as_array(given[name], name)[:EXAMPLES]
            if given[name].ndim != 2 or not len(given[name]) or x is not None and len(given[name]) != len(given["x"]):
                raise ShapeError(f"{name} has shape {np.shape(given[name])}; expected one row an example, as many in x "
                                 "as in eps. Reshape it, and give several samples of z one after the other.")
    if learning_rate is not None:
        at_least("learning_rate", learning_rate, 0, "Pass the rate of the step.", open_interval=True)
    checks = Checks()
    with np.errstate(all="ignore"):                               # a finding reports an overflow, not NumPy
        vae = VAEFunctions(given)
        for name, needs, ask in QUESTIONS:
            lacks = [word for word in needs if not vae.has(word)]
            checks += [not_asked(name, ", ".join(lacks))] if lacks else _asked(vae, ask)
            vae.wrong = {check.name for check in checks if not check.ok}
    checks += [broken(name, f"{name} modifies {argument}: it may only read it")
               for name, argument in vae.modifies.items()]
    if not any(check.judged for check in checks):
        raise ConfigurationError("examine_vae has nothing to ask; expected some of the functions "
                                 f"{', '.join(FUNCTIONS)}. Pass for example draw=, or objective=, gradient=, params= "
                                 "and x=.")
    return checks
