"""Detectors of faults in the training loop, its noise, and what is generated; each returns what it found, or ""."""
import math

import numpy as np

from ..data.minibatch import epoch_permutation
from ..gradcheck import properties
from ..gradcheck.comparison import compare
from ..gradcheck.numerical import numerical_gradient
from ..gradcheck.optimizer_rules import optimizer
from ..gradcheck.properties import differs, EXACT, SIGMAS
from ..optimizers import make_optimizer
from ..training import held_out_objective, Trainer
from .cases import Case, N_ROWS
from .detectors import is_black_and_white, verdict

BATCH = 5                               # rows of a batch; N_ROWS makes two full batches and a short one


def _record(model):
    """Return a list to which the model from now on appends (x, eps, theta) of every step, before it takes the step."""
    original, seen = model.forward_backward, []

    def forward_backward(ws, *arguments):
        seen.append((ws.x.copy(), ws.eps.copy(), model.parameters.flat.copy()))
        return original(ws, *arguments)
    model.forward_backward = forward_backward
    return seen


def trainers_gradient(case: Case) -> str:
    """The gradient that the trainer uses at its second step agrees with differences at that step's parameters."""
    model = case.model
    seen = _record(model)
    trainer = Trainer(model, case.rows(), batch_size=BATCH, learning_rate=1e-3, optimizer="sgd")
    order = epoch_permutation(N_ROWS, 0, 0)
    trainer.step(order)
    trainer.step(order)
    x, eps, theta = seen[-1]
    model.parameters.flat[:] = theta

    def loss():
        return model.objective(x, eps).loss

    slopes = {name: numerical_gradient(loss, array, max_entries=3, seed=case.seed)
              for name, array in model.parameters.segments()}
    return verdict(compare(name, trainer.gradient[name], slope, "", {"B": BATCH}) for name, slope in slopes.items())


def optimizer_reference(case: Case) -> str:
    """Adam and SGD move a few numbers as their formulas do."""
    def check(name):
        ours = make_optimizer(name, 6, "float64", 1e-2)
        return optimizer(lambda theta, gradient: ours.update(theta.ravel(), gradient.ravel()), 1e-2,
                         rules=(name,), epsilons=(1e-8,), seed=case.seed)._replace(name=name)

    return verdict(map(check, ("adam", "sgd")))


def replay(case: Case) -> str:
    """The same seed gives the same bits, another seed gives others, and a resumed run ends as an uninterrupted one."""
    rows = case.rows()

    def run(seed=0, interrupted=False):
        model = case.new_model()
        trainer = Trainer(model, rows, batch_size=BATCH, seed=seed)
        if interrupted:
            trainer.run(1)
            meta, arrays = trainer.checkpoint()
            again = case.new_model()
            again.parameters.flat[:] = model.parameters.flat
            model, trainer = again, Trainer(again, rows, batch_size=BATCH, seed=seed)
            trainer.restore(meta, arrays)
        trainer.run(2)
        return model.parameters.flat

    first = run()
    if not np.array_equal(first, run()):
        return "two runs of one seed end in different parameters"
    if np.array_equal(first, run(seed=1)):
        return "runs of different seeds end in the same parameters"
    if not np.array_equal(first, run(interrupted=True)):
        return "a run that was interrupted and resumed ends in other parameters"
    return ""


def _rows_seen(case, X, **settings):
    """Return the rows of each of two epochs, (n, D) each, in the order in which the steps used them."""
    model = case.new_model()
    seen = _record(model)
    Trainer(model, X, batch_size=BATCH, **settings).run(2)
    rows = np.concatenate([x for x, _, _ in seen])
    return np.split(rows, 2) if len(rows) % 2 == 0 else [rows] * 2


def rows_of_a_step(case: Case) -> str:
    """The steps of an epoch use every training row once, in a new order, scaled to 0..1, and no other rows."""
    rng, model = case.rng(), case.model
    X = rng.integers(0, 256, (N_ROWS, model.n_visible), dtype=np.uint8)
    X[:, 0] = np.arange(N_ROWS)                              # no two rows are equal, and this column orders them
    first, second = _rows_seen(case, X, validation=rng.integers(0, 256, (4, model.n_visible), dtype=np.uint8))

    for rows in (first, second):
        if rows.shape != X.shape or differs(rows[np.argsort(rows[:, 0])], X / 255):
            return "an epoch's rows are not the training rows, each once, scaled to 0..1"
    if np.array_equal(first, second):
        return "two epochs visit the rows in the same order"
    if np.array_equal(first, X / 255):
        return "the first epoch visits the rows in the order of the file"
    gray = np.full((3 * BATCH, 20), 0.5)
    case = case._replace(settings={**case.settings, "n_visible": 20})
    first, second = _rows_seen(case, gray, binarize="dynamic")
    again = np.array_equal(first, second) or np.array_equal(first[:BATCH], first[BATCH:2 * BATCH])
    if again or not np.isin(first, (0, 1)).all():
        return "dynamic binarization draws the same pixels again"
    off = abs(float(first.mean()) - 0.5) / (0.5 / math.sqrt(first.size))
    return f"of pixels of gray 1/2, {first.mean():.2f} are on after binarization" if off > SIGMAS else ""


def reported_is_differentiated(case: Case) -> str:
    """An epoch's loss in the history is the mean objective at the parameters and noise of each step."""
    model, rows = case.new_model(), case.rows()
    seen = _record(model)
    rows[N_ROWS // 2:] *= 0.1                                # batches differ in their losses
    trainer = Trainer(model, rows, batch_size=BATCH)
    epoch = trainer.run(1)[0]
    totals = np.zeros(3)
    for x, eps, theta in seen:
        model.parameters.flat[:] = theta
        totals += len(x) * np.array(model.objective(x, eps))
    wanted = totals / N_ROWS
    reported = np.array([epoch.train_loss, epoch.train_reconstruction, epoch.train_kl])
    if differs(reported, wanted):
        return f"the history says a loss of {reported[0]:.6g}; the steps' objectives average {wanted[0]:.6g}"
    return ""


def held_out(case: Case) -> str:
    """The held-out objective is sampled, has the model's own beta, and averages what `objective` averages."""
    model = case.model
    rows = np.tile(case.rows(), (20, 1))
    found, other = (held_out_objective(model, rows, seed=seed) for seed in (0, 1))
    if found.reconstruction == other.reconstruction:
        return "the held-out objective does not depend on the noise: it is not sampled"
    if differs(found.loss, found.reconstruction + model.beta * found.kl):
        return f"the held-out loss is not reconstruction + {model.beta:g} KL, the training loss"
    rng = case.rng()
    draws = [model.objective(rows, rng.standard_normal((len(rows), model.n_latent))).loss for _ in range(20)]
    spread = 3 * np.std(draws) + EXACT                       # 20 draws rarely have less than a third of the deviation
    if abs(found.loss - np.mean(draws)) > SIGMAS * spread:
        return f"the held-out loss is {found.loss:.5g}; the objective averages {np.mean(draws):.5g} on the same rows"
    return ""


def sampler_moments(case: Case) -> str:
    """The z of the steps is distributed as `encode` says: mean, variance, quartiles, independence."""
    n, model = 2000, case.model
    head = model.parameters.encoder.head
    signs = (-1.0) ** np.arange(model.n_latent)
    head.W[:] *= 0.1                                         # log variances near 1.2 and -1.2: sigma, sigma^2
    head.b[:] = np.concatenate([-0.8 * signs, 1.2 * signs])  # and mu, of the other sign, are all different
    trainer = Trainer(model, np.repeat(case.X[:1], n, axis=0), batch_size=n, learning_rate=1e-12)
    order, draws = np.arange(n), []
    for _ in range(2):
        trainer.state.batch = 0
        trainer.step(order)
        draws.append(trainer.ws.z.copy())
    q = model.encode(case.X[:1])
    u = [(z - q.mu) * np.exp(-0.5 * q.logvar) for z in draws]          # standard normal in the right code
    return properties.noise_fault(u)


def generative_moments(case: Case) -> str:
    """Pixels drawn from p(x | z) have its mean, the mean is possible, and `sample` decodes draws from the prior."""
    rng, model, n = case.rng(), case.model, 4000
    likelihood, p = model.likelihood, model.parameters.likelihood
    outputs = rng.standard_normal((1, likelihood.n_outputs(model.n_visible)))
    outputs[0, 0] = -2                                       # not in [0, 1]; its softplus differs from its sigmoid
    mean = likelihood.mean(p, outputs)[0]
    drawn = likelihood.sample(p, np.repeat(outputs, n, axis=0), rng)
    check = properties.pixel_draws(drawn, mean)
    if not check.ok:
        return check.hint
    if is_black_and_white(model) and (mean.min() < 0 or mean.max() > 1):
        return f"the mean of p(x | z) has values from {mean.min():.2f} to {mean.max():.2f}; pixels lie in [0, 1]"
    linear = case.new_model(hidden=(), likelihood="gaussian", n_visible=model.n_latent)
    linear.parameters.decoder.head.W[:] = np.eye(model.n_latent)
    linear.parameters.decoder.head.b[:] = 0
    z = linear.sample(n, seed=case.seed)                     # the decoder is the identity: z itself
    if np.array_equal(z, linear.sample(n, seed=case.seed + 1)):
        return "sample gives the same for every seed"
    if np.max(np.abs(z.mean(axis=0))) * math.sqrt(n) > SIGMAS:
        return f"sample decodes z of mean {z.mean():.2f}; the prior's is 0"
    if np.max(np.abs(np.mean(z * z, axis=0) - 1)) * math.sqrt(n / 2) > SIGMAS + 3:
        return f"sample decodes z of variance {z.var():.2f}; the prior's is 1"
    return ""


def initial_weights(case: Case) -> str:
    """The initial weights have He's or Glorot's variance, no two units are alike, and biases are zero."""
    model = case.new_model(n_visible=40, hidden=(50,), seed=case.seed)
    for network, stack in ((model.encoder, model.parameters.encoder), (model.decoder, model.parameters.decoder)):
        layer, p = network.layers[0], stack[0]
        fan = layer.n_in if layer.activation in ("relu", "softplus") else layer.n_in + layer.n_out
        if p.b.any():
            return "biases do not start at zero"
        if np.allclose(p.W, p.W[:, :1]):
            return "all units of a layer start alike: they stay alike"
        off = abs(p.W.var() * fan / 2 - 1) * math.sqrt(p.W.size)         # its deviation is 0.9 for uniform draws
        if off > SIGMAS:
            return (f"a layer of {layer.n_in} inputs starts with weights of variance {p.W.var():.3g}; expected "
                    f"{2 / fan:.3g}")
    return ""
