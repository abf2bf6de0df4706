"""examine_vae finds each fault of a foreign VAE and accuses no right one; transplant brings its weights here."""
import numpy as np
import pytest
import styles
import vaes

from scratchvae import elbo, VAE
from scratchvae.bugs import inject, random_case
from scratchvae.errors import ConfigurationError, ShapeError
from scratchvae.gradcheck import assert_ok, examine_vae, GradientMismatch, transplant
from scratchvae.optimizers import make_optimizer

X, EPS = styles.data()
RIGHT = 50                              # of the 2,000 random right models that were examined once
# Hints beside the expected one: they say what was measured, and no more than that.
FACTS = ("the KL is", "it is not the nll at what decode makes", "the loss is not reconstruction + beta KL",
         "of a batch is not the", "depends on the order", "exp(-nll) adds up to", "x averages another value",
         "do not have its mean", "another number of nats", "the loss does not grow by 1.5 KL")
PLACES = {fault: "mu is right and logvar is not" for fault in
          ("missing 1/2", "missing path", "sigma^2 in the gradient", "KL times sigma", "KL sign")}
PLACES |= {"z for mu": "logvar is right and mu is not", "z = mu": "z is mu alone"}


def findings(checks):
    """Return {name: hint} of what is wrong."""
    return {check.name: check.hint for check in checks if not check.ok}


@pytest.mark.parametrize("seed", range(RIGHT))
def test_a_right_model_is_not_accused(seed):
    arguments = vaes.Net(seed).arguments()
    checks = examine_vae(**arguments | ({} if seed % 10 == 0 else {"step": None}))
    assert_ok(checks)
    asked = {check.name for check in checks if check.judged}
    assert {"sampler", "KL", "reconstruction", "loss of a batch", "pixel mean", "optimizer", "gradient: We"} <= asked


def cast(found, dtype):
    """Return what a function of a VAE has returned, in another dtype; None and dicts stay what they are."""
    if isinstance(found, (tuple, dict)):
        cast_all = [cast(one, dtype) for one in (found.values() if isinstance(found, dict) else found)]
        return dict(zip(found, cast_all)) if isinstance(found, dict) else tuple(cast_all)
    return found if found is None else np.asarray(found).astype(dtype)[()]


def inside_float32(net, returned):
    """Return the arguments of examine_vae for a Net of float64 that computes in float32 and returns another dtype."""
    def single(f):
        def g(*arrays, **settings):
            net.p, p = cast(net.p, "f4"), net.p
            try:
                return cast(f(*cast(arrays, "f4"), **settings), returned)
            finally:
                net.p = p

        return g

    net.p, net.x, net.eps = cast(net.p, "f8"), net.x.astype("f8"), net.eps.astype("f8")
    draw, objective, gradient = single(net.draw), single(net.objective), single(net.loss_and_gradient)
    return net.arguments() | {name: single(getattr(net, name)) for name in ("encode", "decode", "generate")} | {
        "draw": lambda mu, logvar, eps: draw(mu, logvar, eps), "gradient": gradient, "step": None, "update": None,
        "nll": lambda x, decoded: returned(net.nll(x.astype("f4"), np.clip(decoded, 1e-6, 1 - 1e-6).astype("f4")
                                                   if net.outputs == "probabilities" else decoded.astype("f4"))),
        "objective": lambda x, eps, beta=None: objective(x, eps, beta=beta)}


@pytest.mark.parametrize("returned", [np.float32, np.float64])
def test_code_that_computes_in_float32_has_its_bounds(returned):
    for seed in range(12):
        assert_ok(examine_vae(**inside_float32(vaes.Net(seed), returned)))
    for fault in ("sampler sigma^2", "batch statistics", "KL over latents", "loss of other parts", "beta in the KL",
                  "nll over pixels", "other reconstruction", "order of the batch", "missing 1/2"):
        row, hint = vaes.FAULTS[fault]
        found = findings(examine_vae(**inside_float32(vaes.Net(100, fault), returned)))
        assert any(name.startswith(row) and (hint in text or row == "gradient") for name, text in found.items()), found


def test_a_sampler_in_float32_is_right_or_wrong_alone():
    for spread, ok in ((0.5, True), (1.0, False)):
        for f in (lambda mu, logvar, eps: (mu + np.exp(spread * logvar) * eps).astype("f4"),
                  lambda mu, logvar, eps: mu + (np.exp(spread * logvar) * eps).astype("f4")):
            check = examine_vae(draw=f)[0]
            assert check.ok == ok and (ok or "sigma^2 stands for sigma" in check.hint)


@pytest.mark.parametrize("place", [
    lambda theta, step: (theta - step).astype("f4"), lambda theta, step: (theta - step).astype("f4").astype("f8"),
    lambda theta, step: theta - step.astype("f4"), lambda theta, step: theta.__isub__(step.astype("f4"))])
def test_an_optimizer_in_float32_is_right_or_wrong(place):
    for fault in ("", "adam uncorrected", "adam under the root"):
        adam = vaes.Net(100, fault or "adam")
        adam.joint, theta = False, np.empty((2, 3))

        def update(param, gradient):
            theta[...] = 0
            adam.update(theta, gradient.astype("f4"))
            return place(param, -theta)

        check, = [check for check in examine_vae(update=update, learning_rate=0.01) if check.judged]
        assert check.name == "optimizer" and check.ok == (not fault)


def test_a_kl_from_the_difference_of_large_numbers_of_float32_has_their_bound():
    x, mu, logvar = np.full((1, 1), 1.0), np.full((1, 1), 0.3), np.full((1, 1), 0.1)
    kl = 0.5 * float(np.sum(mu**2 + np.exp(logvar) - logvar - 1))
    for share in (1, 2):
        checks = examine_vae(
            encode=lambda x: (np.tile(mu, (len(x), 1)).astype("f4"), np.tile(logvar, (len(x), 1)).astype("f4")),
            draw=lambda mu, logvar, eps: mu + np.exp(logvar / 2) * eps, decode=lambda z: 0 * z, beta=0.03,
            nll=lambda x, decoded: np.float32(543.21), x=x, outputs="logits",
            objective=lambda x, eps: np.float32(543.21) + np.float32(0.03 * share * kl))
        assert [check.ok for check in checks if check.name == "KL"] == [share == 1]


@pytest.mark.parametrize("fault", vaes.FAULTS)
def test_each_fault_is_found_by_its_row_and_no_hint_is_wrong(fault):
    row, hint = vaes.FAULTS[fault]
    arguments = vaes.Net(100, fault).arguments()
    if not row.startswith(("gradient", "loss of", "noise")):
        arguments |= {"step": None, "params": None}
    found = findings(examine_vae(**arguments))
    assert any(name.startswith(row) and hint in text for name, text in found.items()), found
    known = (hint, *FACTS, PLACES.get(fault, hint))
    assert all(not text or any(words in text for words in known) for text in found.values()), found


@pytest.mark.parametrize("fault", ["", "missing 1/2", "missing path", "KL sign", "KL times sigma"])
def test_the_head_of_a_log_sigma_is_traced_to_its_term_too(fault):
    found = findings(examine_vae(**vaes.Net(100, fault, power=2).arguments() | {"step": None}))
    assert list(found)[-1:] == (["gradient: d_logvar"] if fault else [])
    assert not fault or vaes.FAULTS[fault][1] in found["gradient: d_logvar"]


# The styles of other people, in at most three lines ------------------------------------------------------------------
# With encode (in one of them, for it takes time) a wrong head is traced to its term, without it to its place.


def caches(fault):
    net = styles.Caches(fault)
    return examine_vae(objective=net.forward, gradient=lambda x, eps: net.backward(), x=X, eps=EPS,
                       params={f"d{name}": array for name, array in net.weights().items()})


def dictionary(fault):
    p = styles.initial()
    return examine_vae(objective=lambda x, eps: styles.forward(p, x, eps)[0], params=p, x=X, eps=EPS,
                       gradient=lambda *data: styles.loss_and_grad(p, *data, fault),
                       encode=lambda x: styles.encode(p, x))


def list_of_arrays(fault):
    p = list(styles.initial().values())
    return examine_vae(objective=lambda x, eps: styles.list_loss_and_grad(p, x, eps)[0], params=p, x=X, eps=EPS,
                       gradient=lambda *data: styles.list_loss_and_grad(p, *data, fault))


def column_major(fault):
    net = styles.Columns(fault)
    return examine_vae(objective=lambda x, eps: net.cost(x.T, eps.T), gradient=lambda x, eps: net.grads(x.T, eps.T),
                       params=net.p, x=X, eps=EPS)


def training_step(fault):
    net = styles.Trainer(fault)
    return examine_vae(objective=net.loss, step=lambda x, eps: net.step(x, eps, 0.1), learning_rate=0.1, params=net,
                       x=X, eps=EPS)


def noisy(fault):
    net = styles.Noisy(fault)
    return examine_vae(objective=lambda x, eps: net.loss(x), gradient=lambda x, eps: net.gradient(x), params=net.p,
                       reseed=lambda: setattr(net, "rng", np.random.default_rng(1)), x=X, eps=EPS)


STYLES = [caches, dictionary, list_of_arrays, column_major, training_step, noisy]
CAUSES = {"sampler sigma^2": "sigma^2 stands for sigma", "sampler sigma / 2": "a 1/2 too many",
          "KL times sigma": "(sigma^2 - 1) sigma",
          "trunk from the decoder only": "the sum of what each of these sends back",
          "missing 1/2": "is the 1/2 of E7 missing?", "missing path": "it never arrives",
          "last row": "a part of this gradient never arrives", "sign of one array": "a sign is flipped"}


def place(cause):
    """Return what can be said of a cause without encode."""
    beside = ("the sum of", "a part of", "a sign is")
    return cause if cause.startswith(beside) else "look at sigma = exp(logvar / 2) and its 1/2"


@pytest.mark.parametrize("style", STYLES)
def test_styles_of_others_are_examined_right_and_wrong(style):
    checks = style("")
    assert_ok(checks)
    assert "gradient" not in {check.name for check in checks if not check.judged}
    for fault, cause in list(CAUSES.items())[::1 if style is dictionary else 3]:
        hints = {hint for name, hint in findings(style(fault)).items() if name.startswith("gradient") and hint}
        assert any((cause if style is dictionary else place(cause)) in hint for hint in hints), (fault, hints)
        assert all(cause in hint or place(cause) in hint for hint in hints), (fault, hints)


def test_stale_weights_and_noise_drawn_twice_are_found_in_the_styles():
    assert "old ones" in findings(caches("stale weights"))["gradient: elsewhere"]
    assert any(name.startswith("gradient") for name in findings(noisy("eps drawn twice")))


# This package's own VAE behind foreign functions, with the museum's faults --------------------------------------------


def ours(case):
    """Return what examine_vae finds in the VAE of a case of the museum."""
    model, p = case.model, case.model.parameters

    def draw(mu, logvar, eps):
        z, kl = np.empty_like(mu), np.empty(len(mu))
        elbo.gaussian_forward(np.hstack([mu, logvar]), eps, z, kl)
        return z

    def nll(x, decoded):
        found = np.empty(1)
        model.likelihood.nll(p.likelihood, decoded, x, found)
        return found

    def objective(x, eps, beta=model.beta):
        model.beta = beta
        return model.objective(x, eps)

    optimizer = make_optimizer("sgd" if case.seed % 2 else "adam", 6, "float64", 1e-2)
    black_and_white = case.settings["likelihood"] == "bernoulli"
    return examine_vae(
        encode=model.encode, draw=draw, decode=model.decode_outputs, nll=nll, objective=objective,
        gradient=lambda x, eps: (model.gradient(x, eps)[0].loss, dict(model.gradient(x, eps)[1].segments())),
        params=dict(p.segments()), update=lambda theta, g: optimizer.update(theta.ravel(), g.ravel()),
        generate=lambda z: model.likelihood.sample(p.likelihood, model.decode_outputs(z), case.rng()),
        x=case.X, eps=case.eps, beta=model.beta, outputs="logits" if black_and_white else "means", learning_rate=1e-2)


@pytest.mark.parametrize("name, row", [
    ("missing_half", "gradient: d_logvar"), ("variance_for_sigma", "sampler"), ("kl_without_half", "KL"),
    ("constants_dropped", "exp(-nll) adds up to 1"), ("beta_ignored", "beta"),
    ("batch_statistics", "encode one by one"), ("summed_over_the_batch", "loss of a batch"),
    ("overflowing_softplus", "extreme outputs"),
    ("means_reported", "loss of gradient"), ("softplus_for_probability", "generated pixels"),
    ("silent_weight_decay", "optimizer")])
def test_the_same_detectors_find_the_museums_faults_in_this_package(name, row):
    with inject(name) as bug:
        assert row in findings(ours(random_case(3, **{"likelihood": "bernoulli", **bug.case_settings})))


# What is asked, and misuse --------------------------------------------------------------------------------------------


def test_what_is_not_given_is_said_and_nothing_passes_unseen():
    checks = examine_vae(draw=lambda mu, logvar, eps: mu + np.exp(logvar / 2) * eps)
    assert checks[0].verdict == "ok" and all(check.verdict.startswith("not asked: needs ") for check in checks[1:])
    assert_ok(checks)
    assert "not asked: needs update" in str(checks) and "not asked: needs update" in checks._repr_html_()
    with pytest.raises(ConfigurationError, match="nothing to ask"):
        examine_vae()
    with pytest.raises(GradientMismatch, match="sampler"):
        assert_ok(examine_vae(draw=lambda mu, logvar, eps: mu + np.exp(logvar) * eps))


def test_a_function_that_writes_into_an_argument_is_told_so_and_nothing_else():
    def draw(mu, logvar, eps):
        return np.add(mu, np.exp(logvar / 2) * eps, out=mu)

    def nll(x, decoded):
        decoded -= 1e-3
        return float(np.sum(np.logaddexp(0, decoded) - x * decoded))

    assert findings(examine_vae(draw=draw)) == {"draw": "draw modifies mu: it may only read it"}
    assert findings(examine_vae(draw=lambda mu, logvar, eps: draw(mu, 2 * logvar, eps))).keys() == {"sampler", "draw"}
    assert findings(examine_vae(nll=nll, outputs="logits"))["nll"] == "nll modifies decoded: it may only read it"


def test_a_wrong_head_is_traced_in_code_that_takes_batches_of_one_size():
    p = styles.initial()

    def encode(x):
        assert len(x) == len(X)
        return styles.encode(p, x)

    def objective(x, eps):
        assert len(x) == len(X)
        return styles.forward(p, x, eps)[0]

    checks = examine_vae(encode=encode, objective=objective, params=p, x=X, eps=EPS,
                         gradient=lambda *data: styles.loss_and_grad(p, *data, "missing 1/2"))
    assert CAUSES["missing 1/2"] in findings(checks)["gradient: d_logvar"]


@pytest.mark.parametrize("name, make, hint", [("bl", lambda d: d / len(X), "only the bias is wrong"),
                                              ("Wl", lambda d: d[::-1], "")])
def test_an_array_of_the_head_that_is_wrong_alone_is_not_laid_to_what_arrives_there(name, make, hint):
    """They were "mu is right and logvar is not: look at sigma" and "a factor B is missing" of d_logvar."""
    p = styles.initial()

    def gradient(x, eps):
        found = styles.loss_and_grad(p, x, eps)[1]
        return found | {name: make(found[name])}

    for encode in (None, lambda x: styles.encode(p, x)):
        found = findings(examine_vae(encode=encode, objective=lambda x, eps: styles.forward(p, x, eps)[0], params=p,
                                     gradient=gradient, x=X, eps=EPS))
        assert list(found)[-1] == f"gradient: {name}"
        assert found[f"gradient: {name}"].startswith(hint) and "logvar" not in found[f"gradient: {name}"]


@pytest.mark.parametrize("share, ok", [(1, True), (0.5, False)])
def test_a_kl_of_the_draws_is_right_and_may_be_negative(share, ok):
    """It was "the KL is -0.4, its closed form 0.3" and "no divergence is negative"."""
    net = vaes.Net(100)
    mu, logvar = net.encode(net.x)
    eps = -np.where(logvar > 0, mu * np.exp(-logvar / 2), 10 * np.sign(mu))        # where z^2 - eps^2 < logvar

    def objective(x, eps):
        mu, logvar = net.encode(x)
        reconstruction = net.objective(x, eps)[1]
        kl = net.weights(len(x)) @ np.sum((net.draw(mu, logvar, eps)**2 - share * eps**2 - logvar) / 2, axis=1)
        return reconstruction + net.beta * kl, reconstruction, kl

    assert objective(net.x, eps)[2] < 0 or not ok
    arguments = net.arguments() | {"eps": eps, "gradient": None, "step": None}
    for f in (objective, lambda x, eps: objective(x, eps)[0]):
        assert ("KL" in findings(examine_vae(**arguments | {"objective": f}))) != ok
        assert not ok or not findings(examine_vae(**arguments | {"objective": f, "update": None}))


def test_noise_that_each_call_seeds_is_told_so_and_nothing_else():
    """The batch, its order and the reconstruction were called wrong, too, also where that is meant."""
    net = vaes.Net(100)

    def seeded(f):
        return lambda x, eps: f(x, np.random.default_rng(0).standard_normal((len(x), net.Z)))

    arguments = net.arguments() | {"objective": seeded(net.objective), "gradient": seeded(net.loss_and_gradient),
                                   "step": None, "update": None}
    found = findings(examine_vae(**arguments))
    assert list(found) == ["noise"] and "the same noise at every call" in found["noise"]
    assert_ok(examine_vae(**arguments, reseed=lambda: None))


def test_a_decoder_that_begins_with_zeros_is_not_accused_of_having_no_noise():
    for name, verdict in (("Wo", "not asked: needs a decode that changes with z"), ("bo", "ok")):
        net = vaes.Net(1)
        net.p[name][...] = 0
        checks = {check.name: check for check in examine_vae(**net.arguments() | {"step": None})}
        assert checks["noise"].verdict == verdict
        assert_ok(list(checks.values()))


def test_an_examination_restores_the_parameters_and_says_what_a_scalar_loss_hides():
    net = vaes.Net(1)
    before = {name: array.copy() for name, array in net.p.items()}
    arguments = net.arguments() | {"objective": lambda x, eps: net.objective(x, eps)[0]}
    checks = {check.name: check for check in examine_vae(**arguments)}
    assert all(np.array_equal(net.p[name], array) for name, array in before.items())
    assert checks["KL"].ok and checks["KL"].judged                # loss - nll, by the other functions
    assert checks["reconstruction"].verdict == "not asked: needs objective to return (loss, reconstruction, kl)"


NET = vaes.Net(1)


@pytest.mark.parametrize("arguments, message", [
    ({"draw": 1.0}, "draw is 1.0; expected a function"),
    ({"draw": lambda mu, logvar, eps: mu[0]}, r"draw returns an array of shape \(3,\); expected \(4, 3\)"),
    ({"encode": lambda x: NET.encode(x)[0], "x": NET.x}, r"encode returns a ndarray; expected \(mu, logvar\)"),
    ({"encode": lambda x: (*NET.encode(x), x), "x": NET.x}, r"encode returns a tuple of 3; expected \(mu, logvar\)"),
    ({"encode": lambda x, y: x, "x": NET.x}, "encode fails for arrays of shape"),
    ({"objective": lambda x, eps: (1.0, 2.0), "x": NET.x, "eps": NET.eps}, "objective returns 2 numbers"),
    ({"objective": lambda x, eps: x, "x": NET.x, "eps": NET.eps}, r"objective returns an array of shape"),
    ({"step": lambda x, eps: None, "objective": lambda x, eps: 1.0, "params": NET.p, "x": NET.x, "eps": NET.eps},
     "step changes none of the arrays"),
    ({"outputs": "pixels"}, "outputs is 'pixels'; known are"), ({"reduction": "max"}, "reduction is 'max'"),
    ({"beta": -1}, "beta is -1"), ({"betas": (0.9,)}, "two decay rates"), ({"betas": (0.9, 1)}, "betas is 1"),
    ({"learning_rate": 0}, "learning_rate is 0"),
    ({"x": np.ones(3)}, r"x has shape \(3,\)"), ({"x": NET.x, "eps": NET.eps[:-1]}, "eps has shape")])
def test_a_misuse_of_examine_vae_is_one_sentence(arguments, message):
    with pytest.raises((ConfigurationError, ShapeError), match=message) as error:
        examine_vae(**arguments)
    assert "\n" not in str(error.value)


# Transplanting --------------------------------------------------------------------------------------------------------


def mirrored(seed):
    """Return a Net that a VAE of this package can hold, and that VAE."""
    net = next(net for net in map(vaes.Net, range(seed, seed + 99)) if (net.outputs, net.reduction, net.joint) == (
        "logits", "mean", False) and net.dtype == np.float64 and len({net.D, net.H, net.Z}) == 3)
    activation = next(name for name, (act, _) in vaes.ACTIVATIONS.items() if act is net.act)
    return net, VAE(net.D, net.Z, hidden=(net.H,), activation=activation, beta=net.beta, dtype="float64")


def mapping(p, turn=lambda array: array):
    """Return the arrays of a Net by the names of this package's segments."""
    return {name: tuple(turn(p[key]) for key in keys) if len(keys) > 1 else turn(p[keys[0]]) for name, keys in {
        "encoder.0.W": ["We"], "encoder.0.b": ["be"], "encoder.head.W": ["Wm", "Wl"], "encoder.head.b": ["bm", "bl"],
        "decoder.0.W": ["Wd"], "decoder.0.b": ["bd"], "decoder.head.W": ["Wo"], "decoder.head.b": ["bo"]}.items()}


@pytest.mark.parametrize("turn", [lambda array: array, lambda array: np.atleast_2d(array).T])
@pytest.mark.parametrize("seed", [0, 40])
def test_a_transplanted_model_has_the_loss_gradient_and_posterior_of_the_foreign_one(seed, turn):
    net, vae = mirrored(seed)
    assert transplant(mapping(net.p, turn), vae) is vae
    objective, gradient = vae.gradient(net.x, net.eps)
    np.testing.assert_allclose(objective, net.objective(net.x, net.eps), rtol=1e-12)
    np.testing.assert_allclose(vae.encode(net.x), net.encode(net.x), rtol=1e-12, atol=1e-14)
    for name, theirs in mapping(net.gradient(net.x, net.eps)).items():
        theirs = np.concatenate(theirs, axis=-1) if isinstance(theirs, tuple) else theirs
        np.testing.assert_allclose(gradient[name], theirs, rtol=1e-10, atol=1e-13)


def test_a_square_matrix_needs_a_statement_and_a_refusal_changes_nothing():
    square = VAE(3, 1, hidden=(3,), dtype="float64")
    theirs = {name: np.full(array.shape, 2.0) for name, array in square.parameters.segments()}
    theirs["encoder.0.W"] = np.arange(9.0).reshape(3, 3)
    before = square.parameters.flat.copy()
    with pytest.raises(ShapeError, match=r"encoder.0.W has shape \(3, 3\), which could be"):
        transplant(theirs, square)
    np.testing.assert_array_equal(square.parameters.flat, before)
    assert transplant(theirs, square, transposed=False).parameters.encoder[0].W[0, 1] == 1
    turned = {name: array.T for name, array in theirs.items()}
    assert transplant(turned, square, transposed=True).parameters.encoder[0].W[0, 1] == 1


@pytest.mark.parametrize("change, message", [
    ({"encoder.0.W": np.ones((2, 9))}, r"encoder.0.W has shape \(2, 9\); expected"),
    ({"encoder.head.W": (np.ones((3, 1)), np.ones((3, 2)))}, "in parts of one shape"),
    ({"encoder.head.b": np.ones((2, 2))}, r"encoder.head.b has shape \(2, 2\)"),
    ({"decoder.1.W": np.ones(2)}, "mapping has decoder.1.W in addition"),
    ({"decoder.head.b": np.array(["a"] * 5)}, "expected numbers")])
def test_what_does_not_fit_is_refused_by_its_name(change, message):
    vae = VAE(5, 2, hidden=(3,))
    with pytest.raises(ShapeError, match=message) as error:
        transplant({**dict(vae.parameters.segments()), **change}, vae)
    assert "\n" not in str(error.value)
    with pytest.raises(ShapeError, match="mapping lacks encoder.0.b, "):
        transplant({"encoder.0.W": np.ones((5, 3))}, vae)


def test_means_are_no_draws_and_any_error_of_a_function_is_told():
    W, rng = np.random.default_rng(0).standard_normal((2, 5)), np.random.default_rng(1)

    def means(z):
        return 1 / (1 + np.exp(-z @ W))

    for generate, ok in ((means, False), (lambda z: (rng.random((len(z), 5)) < means(z)) * 1.0, True)):
        [check] = [check for check in examine_vae(decode=means, generate=generate, eps=np.zeros((1, 2)))
                   if check.judged]
        assert check.ok == ok and ("are they the means?" in check.hint) != ok
    with pytest.raises(ShapeError, match="encode fails .* by zero"):
        examine_vae(encode=lambda x: (x, 1 // 0), x=np.ones((2, 3)))


def test_pixels_and_latents_have_noise_of_their_own_and_of_the_right_size():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((2, 5))
    for columns, ok in ((1, False), (5, True)):                    # one uniform number for all pixels of a picture
        [check] = [check for check in examine_vae(
            decode=lambda z: 1 / (1 + np.exp(-z @ W)), eps=np.ones((1, 2)),
            generate=lambda z: (rng.random((len(z), columns)) < 1 / (1 + np.exp(-z @ W))) * 1.0)
            if check.name == "generated pixels"]
        assert check.ok == ok and ("noise of two pixels" in check.hint) != ok
    for factor in (0.95, 1, 1.05):
        check, *_ = examine_vae(
            draw=lambda mu, logvar: mu + factor * np.exp(logvar / 2) * rng.standard_normal(mu.shape))
        assert check.ok == (factor == 1) and ("variance" in check.hint) == (factor != 1)


@pytest.mark.parametrize("share, ok", [(1, True), (9, False)])
def test_pixels_that_are_rarely_on_are_drawn_a_few_times_or_never(share, ok):
    """Their spread was that of the draws: 0 where none was on, and "do not have its mean"."""
    rng, mean = np.random.default_rng(0), np.full((1, 300), 0.0012)
    [check] = [check for check in examine_vae(
        decode=lambda z: np.repeat(mean, len(z), axis=0), eps=np.ones((1, 2)),
        generate=lambda z: (rng.random((len(z), 300)) < share * mean) * 1.0) if check.judged]
    assert check.name == "generated pixels" and check.ok == ok


def test_a_sum_that_is_nearly_1_is_shown_with_what_it_is_off_by():
    def nll(x, p):
        return -np.sum(x * np.log(p + 1e-7) + (1 - x) * np.log(1 - p + 1e-7))

    checks = {check.name: check for check in examine_vae(decode=lambda z: 1 / (1 + np.exp(-np.tile(z, 3))), nll=nll,
                                                         eps=np.ones((8, 2)))}
    assert checks["exp(-nll) adds up to 1"].hint == "exp(-nll) adds up to 1 + 1.2e-06 over all x"


def test_an_optimizer_that_has_moved_before_is_not_called_weight_decay():
    net = vaes.Net(100)
    for moved in (False, True):
        [check] = [check for check in examine_vae(update=net.update, learning_rate=0.01) if check.name == "optimizer"]
        assert check.ok != moved and ("moments of earlier gradients? Pass the update of a new" in check.hint) == moved


@pytest.mark.parametrize("epsilon", [1e-8, 3e-8, 1e-2, 0.1, 1.0])
@pytest.mark.parametrize("fault", ["", "no correction"])
def test_adam_may_have_any_epsilon(epsilon, fault):
    def update(p, g, moments=[0.0, 0.0, 0]):
        moments[2] += 1
        m, v = moments[:2] = 0.9 * moments[0] + 0.1 * g, 0.999 * moments[1] + 0.001 * g * g
        first, second = (1, 1) if fault else (1 - 0.9**moments[2], 1 - 0.999**moments[2])
        return p - 1e-3 * m / first / (np.sqrt(v / second) + epsilon)

    [check] = [check for check in examine_vae(update=update, learning_rate=1e-3) if check.name == "optimizer"]
    assert check.ok == (not fault), check.hint
