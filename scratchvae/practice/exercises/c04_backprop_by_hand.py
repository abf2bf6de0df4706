"""The gradient, from the loss back to the encoder's head."""
import numpy as np

from ..exercise import exercise


def corner(*l):
    """Return logits l and pixels 0 and 1 in the arguments' shapes, each of them an example of its own."""
    return {"l": np.tile(l, 2)[:, None, None], "x": np.repeat([0.0, 1.0], len(l))[:, None]}


EXTREME = corner(-3000.0, -1000.0, -30.0, 0.0, 30.0, 1000.0, 3000.0)
MODERATE = corner(-14.0, -10.5, 10.5, 14.0)           # where softplus(l) is not l yet


def pixels(rng):
    """Return logits l (B, K, D) and pixels x (B, D), 0 or 1."""
    B, K, D, *_ = rng.sizes()
    return {"l": 3 * rng.standard_normal((B, K, D)), "x": (rng.random((B, D)) < 0.5) * 1.0}


def gives_probabilities_that_sum_to_one(answer, rng):
    """exp(-nll) of a black pixel and of a white one."""
    l = rng.standard_normal((1, 3, 1))
    total = np.exp(-answer(l, np.zeros((1, 1)))) + np.exp(-answer(l, np.ones((1, 1))))
    return "" if np.allclose(total, 1) else f"p(0) + p(1) is {float(total.ravel()[0]):.4g}"


@exercise("E4", pixels, corners=(EXTREME, MODERATE),
          laws=(gives_probabilities_that_sum_to_one,), hints=(
    "With p = sigmoid(l): -log p = softplus(l) - l and -log(1 - p) = softplus(l).",
    "So -x log p - (1 - x) log(1 - p) = softplus(l) - x l. exp(1000) overflows: softplus needs another form.",
    "softplus(l) = max(l, 0) + log(1 + exp(-|l|)); x[:, None] stands beside each sample; sum over axis 2."), slips=(
    ("np.maximum(l, 0) + np.log1p(np.exp(-np.abs(l)))", "np.log(1 + np.exp(l))",
     "exp(l) overflows at l = 1000: softplus(l) = max(l, 0) + log(1 + exp(-|l|))"),
    (" - x[:, None] * l", " + x[:, None] * l", "the sign of x l: a white pixel wants a large logit"),
    (" - x[:, None] * l", "", "x does not matter here: - x l is missing"),
    (".sum(axis=2)", ".mean(axis=2)", "1/D x: a sum over the pixels, not their mean")))
def bernoulli_nll(l, x):
    """-log p(x | z) of black-and-white pixels, summed over the pixels, in nats.

    l (B, K, D)   logits, what the decoder puts out; p = sigmoid(l)
    x (B, D)      pixels, 0 or 1

    Return sum_d [softplus(l) - x l], (B, K); it must be right at l = 1000, too.    (E4, F16)
    """
    softplus = np.maximum(l, 0) + np.log1p(np.exp(-np.abs(l)))
    return (softplus - x[:, None] * l).sum(axis=2)


@exercise("E5", pixels, loss=lambda l, x: np.sum(np.log(1 + np.exp(l)) - x[:, None] * l) / l[..., 0].size, by=("l",),
          corners=(EXTREME, MODERATE), hints=(
    "The slope of softplus is the sigmoid.",
    "So the slope of softplus(l) - x l is sigmoid(l) - x. The loss is a mean over B examples and K samples.",
    "(1 / (1 + exp(-l)) - x[:, None]) / (B * K); B, K, D = l.shape."), slips=(
    (" / (B * K)", "", "B K x: the mean over examples and samples is missing"),
    (" / (B * K)", " / B", "K x: the mean over the samples is missing"),
    (" / (B * K)", " / (B * K * D)", "1/D x: the loss sums over pixels"),
    ("np.exp(-l)", "np.exp(l)", "the sigmoid falls here: its exponent is -l"),
    (" - x[:, None]", "", "x is missing: the slope of - x l is - x")))
def d_l(l, x):
    """The gradient of the reconstruction by the logits.

    l (B, K, D)   logits
    x (B, D)      pixels

    The loss is 1/B sum_n 1/K sum_k sum_d softplus(l) - x l.
    Return dL/dl, (B, K, D); it must be right at l = 1000 and -1000, too.         (E5, F17)
    """
    B, K, D = l.shape
    return (1 / (1 + np.exp(-l)) - x[:, None]) / (B * K)


def decoder(rng):
    """Return z (B, K, Z), R (Z, H), S (H, D), the hidden units g = tanh(z R), and d_l (B, K, D)."""
    B, K, Z, H, D = rng.sizes()
    z, R, S = rng.standard_normal((B, K, Z)), rng.standard_normal((Z, H)), rng.standard_normal((H, D))
    return {"z": z, "R": R, "S": S, "g": np.tanh(z @ R), "d_l": rng.standard_normal((B, K, D))}


@exercise("E5", decoder, loss=lambda z, R, S, d_l, **_: np.sum(d_l * (np.tanh(z @ R) @ S)),
          by=lambda answer, z, R, S, d_l, **_: {"z": answer(d_l, np.tanh(z @ R), R, S)}, hints=(
    "Go backward: through l = g S first, then through the tanh, then through z R.",
    "d_g = d_l S^T (D5); times the slope 1 - g^2 (D2) that is d_C; and d_z = d_C R^T (D5).",
    "((d_l @ S.T) * (1 - g**2)) @ R.T."), slips=(
    (" * (1 - g ** 2)", "", "the slope of tanh is missing (D2)"),
    ("(1 - g ** 2)", "g * (1 - g)", "this is the slope of the sigmoid; tanh's is 1 - g^2"),
    ("(1 - g ** 2)", "(1 - np.tanh(g) ** 2)", "g already is the output of tanh: you take tanh twice")))
def d_z(d_l, g, R, S):
    """What the decoder's backward returns for its input.

    d_l (B, K, D)   dL/dl
    g (B, K, H)     the hidden units, g = tanh(z R + r)
    R (Z, H)        weights into the hidden units
    S (H, D)        weights into the logits, l = g S + s

    Return dL/dz, (B, K, Z).                                                      (E5)
    """
    return d_l @ S.T * (1 - g**2) @ R.T


def posterior(rng):
    """Return mu, logvar (B, Z), eps and d_z (B, K, Z), and beta."""
    B, K, Z, *_ = rng.sizes()
    return {"mu": rng.standard_normal((B, Z)), "logvar": rng.standard_normal((B, Z)),
            "eps": rng.standard_normal((B, K, Z)), "d_z": rng.standard_normal((B, K, Z)),
            "beta": float(rng.uniform(0.5, 3))}


def loss(mu, logvar, eps, d_z, beta):
    """Return a number whose derivative by z is d_z, plus beta times the mean KL."""
    z = mu[:, None] + np.exp(logvar / 2)[:, None] * eps
    return np.sum(d_z * z) + beta * np.sum(mu**2 + np.exp(logvar) - 1 - logvar) / (2 * len(mu))


@exercise("E6", posterior, loss=loss, by=("mu",), hints=(
    "Two ways lead from mu to the loss: through z, and through the KL.",
    "dz/dmu = 1 for each of the K samples, so their d_z add up; the KL's 1/2 mu^2 has the slope mu.",
    "d_z.sum(axis=1) + beta * mu / B, with B = len(mu)."), slips=(
    (" + beta * mu / len(mu)", "", "the KL is not differentiated: beta mu / B is missing"),
    ("d_z.sum(axis=1) + ", "", "only the KL is differentiated: the way through z is missing"),
    ("beta * mu / len(mu)", "beta * mu", "the KL part is B x: the loss averages over the batch"),
    ("beta * mu", "mu", "the KL part lacks beta"),
    ("beta * mu / len(mu)", "2 * beta * mu / len(mu)", "the KL part is 2.00 x: the slope of 1/2 mu^2 is mu"),
    ("d_z.sum(axis=1)", "d_z.mean(axis=1)", "the way through z is 1/K x: the 1/K is in d_z already, so sum")))
def d_mu(d_z, mu, beta):
    """The gradient of the loss by mu, both ways together.

    d_z (B, K, Z)   dL/dz of each sample z = mu + sigma eps, with 1/B and 1/K already in it
    mu (B, Z)       of q(z | x)
    beta            weight of the KL; L = reconstruction + beta/B sum_n kl

    Return dL/dmu, (B, Z).                                                        (E6, F20)
    """
    return d_z.sum(axis=1) + beta * mu / len(mu)


FAR = {"d_z": np.array([[[2.0, 3.0]]]), "eps": np.ones((1, 1, 2)), "logvar": np.array([[20.0, -20.0]]), "beta": 0.5}


@exercise("E7", posterior, loss=loss, by=("logvar",), corners=(FAR,), hints=(
    "Two ways again: z = mu + sigma eps, and the KL's 1/2 (sigma^2 - 1 - logvar) + ...",
    "sigma = exp(logvar / 2), so dsigma/dlogvar = sigma / 2, and dsigma^2/dlogvar = sigma^2.",
    "sum over k of d_z eps, times sigma / 2; plus beta (sigma^2 - 1) / (2 B)."), slips=(
    (" * sigma / 2", " * sigma",
     "the reconstruction part is 2.00 x the right one: is the 1/2 of dsigma/dlogvar = sigma / 2 missing?"),
    (" / (2 * len(logvar))", " / len(logvar)", "the KL part is 2.00 x the right one: is the 1/2 of the KL missing?"),
    ("(d_z * eps)", "d_z", "the eps of dz/dlogvar = eps sigma / 2 is missing"),
    (" * sigma / 2", " / 2", "the sigma of dz/dlogvar = eps sigma / 2 is missing"),
    ("sigma = np.exp(logvar / 2)", "sigma = np.exp(logvar)", "sigma is exp(logvar / 2): this is sigma^2"),
    (" * sigma / 2", " * sigma ** 2 / 2", "sigma^2 stands for sigma in the reconstruction part"),
    ("(sigma ** 2 - 1)", "sigma ** 2", "the -1 of sigma^2 - 1 is missing: the slope of -logvar"),
    ("(sigma ** 2 - 1)", "(sigma - 1)", "sigma stands for sigma^2 in the KL part"),
    ("(sigma ** 2 - 1)", "(1 - sigma ** 2)", "the KL part is -1.00 x: a sign is flipped"),
    (" / (2 * len(logvar))", " / 2", "the KL part is B x: the loss averages over the batch"),
    ("beta * (", "(", "the KL part lacks beta"),
    ("(d_z * eps).sum(axis=1) * sigma / 2 + ", "", "only the KL is differentiated: the way through z is missing"),
    (" + beta * (sigma ** 2 - 1) / (2 * len(logvar))", "", "the KL is not differentiated")))
def d_logvar(d_z, eps, logvar, beta):
    """The gradient of the loss by logvar = log sigma^2: where most hand-written VAEs go wrong.

    d_z (B, K, Z)    dL/dz of each sample z = mu + sigma eps, with 1/B and 1/K already in it
    eps (B, K, Z)    the noise
    logvar (B, Z)    log sigma^2 of q(z | x)
    beta             weight of the KL; L = reconstruction + beta/B sum_n kl

    Return dL/dlogvar, (B, Z).                                                    (E7, F21)
    """
    sigma = np.exp(logvar / 2)
    return (d_z * eps).sum(axis=1) * sigma / 2 + beta * (sigma**2 - 1) / (2 * len(logvar))


def gray(rng):
    """Return means l (B, K, D), pixels x (B, D) and sigma."""
    return {**pixels(rng), "sigma": float(rng.uniform(0.3, 2))}


def is_a_density(answer, rng):
    """The integral of exp(-nll) over one pixel."""
    x = np.linspace(-9, 9, 1801)
    total = float(np.exp(-answer(np.zeros((len(x), 1, 1)), x[:, None], 0.7)).sum() * (x[1] - x[0]))
    return "" if abs(total - 1) < 1e-9 else f"the integral of p(x | z) over x is {total:.4g}, not 1"


OFF = {"l": np.array([[[100.0], [-100.0]]]), "x": np.array([[1.0]]), "sigma": 0.5}


@exercise("E8", gray, corners=(OFF,), laws=(is_a_density,), hints=(
    "The density of one pixel is exp(-(x - l)^2 / (2 sigma^2)) / (sigma sqrt(2 pi)).",
    "Its -log is (x - l)^2 / (2 sigma^2) + log(sigma) + log(2 pi) / 2, once for every pixel: all three are summed.",
    "Write the three terms for each pixel, with x[:, None], and sum over axis 2."), slips=(
    ("2 * sigma ** 2", "sigma ** 2", "the squared error is 2.00 x the right one: is the 1/2 missing?"),
    ("2 * sigma ** 2", "2 * sigma", "sigma stands for sigma^2 under the squared error"),
    (" + np.log(sigma)", "", "log(sigma) is missing: then a larger sigma is always better"),
    (" + np.log(2 * np.pi) / 2", "", "log(2 pi) / 2 is missing: this is no density"),
    (".sum(axis=2)", ".mean(axis=2)", "1/D x: a sum over the pixels, not their mean")))
def gaussian_nll(l, x, sigma):
    """-log p(x | z) of Gaussian pixels of one sigma, summed over the pixels, in nats.

    l (B, K, D)   the means, what the decoder puts out
    x (B, D)      pixels
    sigma         their standard deviation

    Return sum_d [(x - l)^2 / (2 sigma^2) + log sigma + log(2 pi) / 2], (B, K).   (E8, F22)
    """
    return ((x[:, None] - l)**2 / (2 * sigma**2) + np.log(sigma) + np.log(2 * np.pi) / 2).sum(axis=2)


@exercise("E9", gray, loss=lambda l, x, sigma: np.sum((x[:, None] - l)**2) / (2 * sigma**2 * l[..., 0].size), by=("l",),
          hints=("Only the squared error depends on l.",
                 "The slope of (x - l)^2 / 2 by l is l - x, not x - l.",
                 "(l - x[:, None]) / (sigma**2 * B * K); B, K, D = l.shape."), slips=(
              ("(l - x[:, None])", "(x[:, None] - l)", "-1.00 x: the slope of (x - l)^2 / 2 is l - x"),
              ("sigma ** 2", "sigma", "sigma stands for sigma^2"),
              ("sigma ** 2 * ", "", "sigma^2 is missing"),
              (" * B * K)", ")", "B K x: the mean over examples and samples is missing"),
              (" * B * K)", " * B)", "K x: the mean over the samples is missing")))
def d_l_gaussian(l, x, sigma):
    """The gradient of the reconstruction by the means, for Gaussian pixels.

    l (B, K, D)   the means
    x (B, D)      pixels
    sigma         their standard deviation

    The loss is 1/B sum_n 1/K sum_k of E8.
    Return dL/dl, (B, K, D).                                                      (E9, F23)
    """
    B, K, D = l.shape
    return (l - x[:, None]) / (sigma**2 * B * K)
