"""The exercises: the model answers are the derivation's, the grader lets nothing wrong pass, folders and notebooks."""
import json
import linecache
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from grading import EQUIVALENT, wrong_answers
from test_cli import command, result

from scratchvae import VAE
from scratchvae.errors import ConfigurationError, RunError
from scratchvae.estimators import head_gradient
from scratchvae.estimators.importance import bound_loss, normalized
from scratchvae.estimators.sampled import log_weights as package_log_weights
from scratchvae.estimators.sampled import sample_kl
from scratchvae.estimators.score_function import BASELINES
from scratchvae.kernels import continuous_bernoulli, dense, gaussian, likelihoods, optimizers
from scratchvae.practice import check, EXERCISES, judge
from scratchvae.practice.edits import compiled
from scratchvae.practice.exercise import Random
from scratchvae.practice.folder import find, Folder, start
from scratchvae.practice.foreign import Attempt
from scratchvae.practice.judge import patience

ANSWERS = {name: exercise.function for name, exercise in EXERCISES.items()}
ALL = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))


def solve(folder, names=tuple(EXERCISES), **bodies):
    """Write model answers, or other bodies, into a folder's files or notebook."""
    texts = {name: EXERCISES[name].answer + "\n" for name in names} | bodies
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name, new in texts.items():
            text = text.replace(EXERCISES[name].template, new)
        path.write_text(text)
    for path in folder.glob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            for name, new in texts.items():
                if "".join(cell["source"]) == EXERCISES[name].template.rstrip():
                    cell["source"] = new.splitlines(True)
        path.write_text(json.dumps(notebook))


def written(name, body):
    """Return the source of an answer with this body."""
    return f"def {name}({', '.join(EXERCISES[name].parameters)}):\n    {body}\n"


# The model answers ----------------------------------------------------------------------------------------------------


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def test_the_answers_about_the_head_are_the_twins():
    """E2, E4, E6, E7."""
    drawn = EXERCISES["d_mu"].draw(rng := Random(0))
    mu, logvar, eps, d_z, beta = (drawn[name] for name in ("mu", "logvar", "eps", "d_z", "beta"))
    head, (B, K, Z) = np.hstack([mu, logvar]), eps.shape
    z, kl, d_head = np.empty((B * K, Z)), np.empty(B), np.empty((B, 2 * Z))
    gaussian.gaussian_forward_ref(head, eps.reshape(-1, Z), z, kl)
    gaussian.gaussian_backward_ref(head, eps.reshape(-1, Z), d_z.reshape(-1, Z), np.full(Z, beta / B), d_head)
    close(ANSWERS["sample"](mu, logvar, eps).reshape(-1, Z), z)
    close(ANSWERS["kl_normal"](mu, logvar), kl)
    close(np.hstack([ANSWERS["d_mu"](d_z, mu, beta), ANSWERS["d_logvar"](d_z, eps, logvar, beta)]), d_head)
    nll = rng.random((B, K))
    close(ANSWERS["log_weights"](nll, z.reshape(eps.shape), eps, logvar),                             # S1, S2
          package_log_weights(nll.ravel(), sample_kl(head, eps.reshape(-1, Z), z), 1.0))


@pytest.mark.parametrize("code, slope", [(dense.RELU, "relu_slope"), (dense.TANH, "tanh_slope")])
def test_the_answers_about_dense_layers_are_the_twins(code, slope):
    """D2 to D5."""
    drawn = EXERCISES["d_W"].draw(Random(1))
    x, W, b, d_y = (drawn[name] for name in ("x", "W", "b", "d_a"))
    y, d_a, d_W, d_b, d_x = np.empty_like(d_y), d_y.copy(), np.empty_like(W), np.empty_like(b), np.empty_like(x)
    dense.dense_forward_ref(x, W, b, code, y)
    dense.dense_backward_ref(x, W, y, d_a, code, d_W, d_b, d_x)
    own = d_y * ANSWERS[slope](y)
    for found, wanted in ((own, d_a), (ANSWERS["d_W"](x, own), d_W), (ANSWERS["d_b"](own), d_b),
                          (ANSWERS["d_x"](own, W), d_x)):
        close(found, wanted)


@pytest.mark.parametrize("nll, d_nll, twin, settings", [
    ("bernoulli_nll", "d_l", likelihoods.bernoulli_nll_backward_ref, ()),
    ("gaussian_nll", "d_l_gaussian", likelihoods.gaussian_nll_backward_ref, (0.6,)),
    ("continuous_bernoulli_nll", "d_l_continuous", continuous_bernoulli.continuous_bernoulli_nll_backward_ref, ())])
def test_the_answers_about_likelihoods_are_the_twins(nll, d_nll, twin, settings):
    """E4, E5, E8, E9, L1, L2."""
    rng = Random(2)
    l, x = 3 * rng.standard_normal((4, 1, 5)), rng.random((4, 5))
    value, slope = np.empty(4), np.empty((4, 5))
    twin(l[:, 0], x, *settings, np.full(4, 1 / 4), value, slope)
    outputs = l if "continuous" not in nll else l[:, 0]
    close(np.ravel(ANSWERS[nll](outputs, x, *settings)), value)
    close(ANSWERS[d_nll](outputs, x, *settings).reshape(4, 5), slope)


@pytest.mark.parametrize("name", ["stl", "dreg", "score_function"])
def test_the_answers_about_estimators_are_the_packages(name):
    """S6 to S9."""
    drawn = EXERCISES["stl"].draw(rng := Random(3))
    mu, logvar, eps, z, J, nll = (drawn[key] for key in ("mu", "logvar", "eps", "z", "J", "nll"))
    B, K, Z = eps.shape
    rows = [array.reshape(-1, Z) for array in (eps, J)]
    wanted = head_gradient(name, np.hstack([mu, logvar]), rows[0], nll.ravel(), rows[1]) / B
    log_w = ANSWERS["log_weights"](nll, z, eps, logvar)
    loss, v = ANSWERS["iwae"](log_w)
    close(loss, bound_loss(log_w))
    close(v, normalized(log_w))
    found = {"stl": lambda: ANSWERS["stl"](J / (B * K), z, eps, logvar),
             "dreg": lambda: ANSWERS["dreg"](J, z, eps, logvar, v),
             "score_function": lambda: ANSWERS["score_function"](-log_w, eps, logvar)}[name]()
    close(np.hstack(found), wanted)
    close(ANSWERS["leave_one_out"](log_w), BASELINES["leave_one_out"](log_w, 0.0))
    assert rng.sizes() != rng.sizes()


def test_adam_is_the_twin():
    """O2."""
    drawn = EXERCISES["adam"].draw(Random(4))
    theta, g, m, v = (drawn[name].copy() for name in ("theta", "g", "m", "v"))
    optimizers.adam_update_ref(theta, g, m, v, drawn["step"], drawn["rate"], 0.9, 0.999, 1e-8)
    for found, wanted in zip(ANSWERS["adam"](**drawn), (theta, m, v)):
        close(found, wanted)


def test_the_students_vae_is_this_packages_vae():
    """E1 to E7 and D1 to D5 together: loss and gradient of the same parameters are those of VAE."""
    drawn = EXERCISES["gradient"].draw(Random(5))
    p, x, eps, beta = (drawn[name] for name in ("p", "x", "eps", "beta"))
    (D, H), Z = p["U"].shape, len(p["R"])
    vae = VAE(D, n_latent=Z, hidden=(H,), activation="tanh", beta=beta, n_samples=eps.shape[1], dtype="float64")
    names = dict(zip(("encoder.0.W", "encoder.0.b", "encoder.head.W", "encoder.head.b", "decoder.0.W", "decoder.0.b",
                      "decoder.head.W", "decoder.head.b"), "UaWcRrSs"))
    for segment, name in names.items():
        vae.parameters[segment][:] = p[name]
    objective, gradient = vae.gradient(x, eps)
    loss, d_p = ANSWERS["gradient"](p, x, eps, beta)
    close(loss, objective.loss)
    for segment, name in names.items():
        close(d_p[name], gradient[segment])


# The grader -----------------------------------------------------------------------------------------------------------


def test_no_logit_is_drawn_where_a_right_answer_takes_a_series():
    assert min(np.abs(EXERCISES["d_l_continuous"].draw(Random(seed))["a"]).min() for seed in range(300)) > 0.05


@ALL
def test_a_model_answer_is_right_and_proven(exercise):
    verdict = judge(exercise, exercise.function)
    assert verdict.state == "right", verdict
    assert exercise.loss is None or "exact derivative" in verdict.text
    assert exercise.surrogate is None or "finite differences" in verdict.text
    assert len(exercise.hints) == 3 and exercise.tag in exercise.text
    assert exercise.name != "train" or "learns digits" in verdict.text


@ALL
def test_nothing_that_is_not_an_answer_passes(exercise):
    """The template, each argument, zeros, ones, and the right numbers of one draw, written down."""
    assert judge(exercise, compiled(exercise, exercise.template)).state == "unsolved"
    head = f"def {exercise.name}({', '.join(exercise.parameters)}):\n    return "
    drawn = exercise.draw(Random())
    known = exercise.function(**{name: drawn[name] for name in exercise.parameters})
    namespace = vars(sys.modules[exercise.function.__module__])
    for text in (*exercise.parameters, f"0 * {exercise.parameters[0]}", "1.0", "None"):
        assert judge(exercise, compiled(exercise, head + text)).state != "right", text
    answer = eval(f"lambda {', '.join(exercise.parameters)}: known", {**namespace, "known": known})
    assert judge(exercise, answer).state == "wrong"


@ALL
def test_every_usual_mistake_gets_its_own_words(exercise):
    for old, new, words in exercise.slips:
        assert old in exercise.answer, f"{old!r} is not in the model answer any more"
        verdict = judge(exercise, compiled(exercise, exercise.answer.replace(old, new)))
        assert verdict.state == "wrong" and words.split("(")[0][1:20] in verdict.text, verdict


def test_no_edited_answer_passes_and_nine_of_ten_are_named():
    """A sample of `python tests/grading.py`, which judges 500."""
    named, answers = 0, wrong_answers(50, seed=None)
    for exercise, answer, right, wrong in answers:
        verdict = judge(exercise, answer)
        assert verdict.state != "right" or (exercise.name, right, wrong) in EQUIVALENT, (exercise.name, right, wrong)
        named += verdict.named
    assert named >= 0.9 * len(answers)


def test_two_mistakes_at_once_are_wrong_and_may_have_no_name():
    exercise = EXERCISES["d_logvar"]
    text = exercise.answer.replace("sigma / 2", "sigma").replace("sigma ** 2 - 1", "sigma - 2")
    verdict = judge(exercise, compiled(exercise, text))
    assert verdict.state == "wrong" and not verdict.named and "is right" in verdict.text


def test_an_answer_written_another_way_is_right():
    def d_mu(d_z, mu, beta):
        found = np.zeros_like(mu)
        for n in range(len(mu)):
            for k in range(d_z.shape[1]):
                found[n] += d_z[n, k]
            found[n] += mu[n] / len(mu) * beta
        return found

    def bernoulli_nll(l, x):
        return np.sum(np.logaddexp(0, l) - x[:, None, :] * l, axis=-1)
    assert check(d_mu).state == check(bernoulli_nll).state == "right"


@pytest.mark.parametrize("name, body", [
    ("d_l", "p = 1 / (1 + np.exp(-l)); return np.where(x[:, None] == 1, p - 1, p) / l[..., 0].size"),
    ("d_l", "p = 1 / (1 + np.exp(-l)); return (p - (x[:, None] > 0)) / l[..., 0].size"),
    ("d_l", "p = 1 / (1 + np.exp(-l)); return np.where(x[:, None] == 0, p, p - 1) / l[..., 0].size"),
    ("relu_slope", "return np.nan_to_num(y / y)")])
def test_a_right_answer_that_no_exact_number_runs_through_is_right(name, body):
    """A pixel was compared with 0 or 1: "a comparison of equal numbers".  0 / 0 is nan in NumPy: it "stops"."""
    verdict = judge(EXERCISES[name], compiled(EXERCISES[name], written(name, body)))
    assert verdict.state == "right" and "finite differences" in verdict.text, verdict


def test_a_refutation_by_certificate_says_wrong_once():
    verdict = judge(EXERCISES["d_mu"], compiled(EXERCISES["d_mu"], written(
        "d_mu", "return (d_z.sum(axis=1) + beta * mu / len(mu)) * (1 + 2**-40)")))
    assert verdict.state == "wrong" and str(verdict).count("wrong") == 1, verdict


BODIES = {
    "pass": "unsolved", "raise NotImplementedError": "unsolved", "return d_mu(d_z, mu, beta)": "calls itself without",
    "import sys; sys.exit()": "leaves Python", "x = 1": "None: a return is missing", "print('here')": "printed 'here'",
    "return d_z": "is it not summed", "return 'x'": "of type str", "return {}": "an empty dict", "mu += 1":
    "changes its argument mu", "return mu": "its argument mu, unchanged", "return 0 * mu": "0 everywhere",
    "return [[1], [1, 2]]": "a list of 2; expected numbers of shape",
    "return d_z, mu": "a tuple of 2; expected numbers",
    "return mu / 0": "divide by 0", "return undefined": "line 2, `return undefined`", "yield mu": "type generator",
    "return (d_z.sum(axis=1) + beta * mu / len(mu)).astype('float32')": "to seven digits",
    "return -d_z.sum(axis=1) - beta * mu / len(mu)": "-1 x", "return len(mu) * d_z.sum(axis=1) + beta * mu": "B ="}


@pytest.mark.parametrize("body", BODIES)
def test_whatever_an_answer_does_ends_in_one_sentence(body):
    namespace = {"np": np}
    exec(compile(f"def d_mu(d_z, mu, beta):\n    {body}\n", "<cell 9>", "exec"), namespace)
    linecache.cache["<cell 9>"] = 1, None, ["def d_mu(d_z, mu, beta):\n", f"    {body}\n"], "<cell 9>"
    verdict = check(namespace["d_mu"])
    assert BODIES[body] in str(verdict) and "\n" not in str(verdict)


@pytest.mark.parametrize("name, body", [
    ("kl_normal", "return np.maximum(0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1), 0.1)"),
    ("kl_normal", "v = np.clip(logvar, -10, 99); return 0.5 * (mu**2 + np.exp(v) - 1 - v).sum(axis=1)"),
    ("kl_normal", "v = np.clip(logvar, -99, 20); return 0.5 * (mu**2 + np.exp(v) - 1 - v).sum(axis=1)"),
    ("kl_normal", "return 0.5000005 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)"),
    ("sample", "return mu[:, None] + np.exp(np.clip(logvar, -10, 99) / 2)[:, None] * eps"),
    ("sample", "return mu[:, None] + np.exp(np.clip(logvar, -99, 10) / 2)[:, None] * eps"),
    ("d_logvar", "v = np.clip(logvar, -10, 10); s = np.exp(v / 2); "
     "return (d_z * eps).sum(axis=1) * s / 2 + beta * (s**2 - 1) / (2 * len(v))"),
    ("relu_slope", "return y > 1e-3"), ("relu_slope", "return np.tanh(1e6 * y)"),
    ("tanh_slope", "return np.maximum(1 - y**2, 1e-6)"),
    ("gaussian_nll", "p = np.exp(-(x[:, None] - l)**2 / (2 * sigma**2)) / (sigma * (2 * np.pi)**0.5); "
     "return -np.log(p).sum(axis=2)"),
    ("log_weights", "return -nll - 0.5 * (z**2 - eps**2 - np.clip(logvar, -99, 10)[:, None]).sum(axis=2)"),
    ("log_weights", "return -nll - 0.5 * (z**2 - eps**2 - np.clip(logvar, -10, 99)[:, None]).sum(axis=2)"),
    ("score_function", "s = np.exp(np.clip(logvar, -10, 10) / 2)[:, None]; w = f[:, :, None] / f.size; "
     "return (w * eps / s).sum(axis=1), (w * (eps**2 - 1) / 2).sum(axis=1)"),
    ("stl", "s = np.exp(np.clip(logvar, -10, 10) / 2)[:, None]; g = d_z + (z - eps / s) / eps[..., 0].size; "
     "return g.sum(axis=1), (g * eps * s / 2).sum(axis=1)"),
    ("dreg", "s = np.exp(np.clip(logvar, -10, 10) / 2)[:, None]; g = v[:, :, None]**2 * (J + z - eps / s) / len(z); "
     "return g.sum(axis=1), (g * eps * s / 2).sum(axis=1)"),
    ("bernoulli_nll", "a = np.where(l > 10, l, np.logaddexp(0, l)); return (a - x[:, None] * l).sum(axis=2)"),
    ("bernoulli_nll", "a = np.where(l < -10, 0, np.logaddexp(0, l)); return (a - x[:, None] * l).sum(axis=2)"),
    ("bernoulli_nll", "return np.minimum(np.logaddexp(0, l) - x[:, None] * l, 1e3).sum(axis=2)"),
    ("kl_discrete", "seen = p > 1e-2; return np.sum(p[seen] * np.log(p[seen] / q[seen]))"),
    ("adam", "g = np.clip(g, -5, 5); m = 0.9 * m + 0.1 * g; v = 0.999 * v + 0.001 * g**2; return theta - rate * "
     "(m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8), m, v")])
def test_a_formula_that_is_right_at_ordinary_numbers_alone_is_told_where_not(name, body):
    verdict = judge(EXERCISES[name], compiled(EXERCISES[name], written(name, body)), seed=0)
    assert verdict.state == "wrong" and "rtol" not in verdict.text, verdict


def test_two_sentences_about_another_form_stay_two():
    """A question and what else is wrong: "is it not summed?; it gives"."""
    verdict = judge(EXERCISES["d_b"], compiled(EXERCISES["d_b"], written("d_b", "return d_a")), seed=0)
    assert "is it not summed? It gives" in verdict.text, verdict


def lists(value):
    """Return what a function returned with lists in the place of arrays."""
    if isinstance(value, dict):
        return {key: lists(part) for key, part in value.items()}
    return tuple(map(lists, value)) if isinstance(value, tuple) else np.asarray(value).tolist()


@ALL
def test_an_answer_may_come_in_lists(exercise):
    """Nested loops append; six right answers "stop with AttributeError: 'list' object has no attribute 'var'"."""
    if not exercise.free:
        arguments = ", ".join(exercise.parameters)
        answer = eval(f"lambda {arguments}: lists(model({arguments}))", {"lists": lists, "model": exercise.function})
        verdict = judge(exercise, answer)
        assert verdict.state == "right", verdict


@pytest.mark.parametrize("name", ["split_kl", "stl", "dreg", "score_function", "adam"])
def test_several_outputs_may_come_in_one_array(name):
    exercise = EXERCISES[name]
    arguments = ", ".join(exercise.parameters)
    for wrap in ("array", "stack"):
        answer = eval(f"lambda {arguments}: np.{wrap}({exercise.name}({arguments}))", {"np": np, **ANSWERS})
        verdict = judge(exercise, answer)
        assert verdict.state == "right", verdict


def test_a_right_answer_is_said_to_agree_with_the_model_answer_too():
    assert judge(EXERCISES["kl_discrete"], ANSWERS["kl_discrete"]).text == (
        "It equals the model answer on 4 draws; it is zero where p equals q.")


def test_values_by_name_are_its_own():
    verdict = judge(EXERCISES["forward"], compiled(EXERCISES["forward"], EXERCISES["forward"].answer.replace(
        '"mu": mu', '"mu": mu * mu').replace("'mu': mu", "'mu': mu * mu")), seed=0)
    assert verdict.text.startswith("Its 'mu' is "), verdict


def test_numbers_of_many_sizes_stay_on_one_line():
    """NumPy broke a line of 75 characters: two in a hundred draws did."""
    for seed in range(60):
        assert "\n" not in str(judge(EXERCISES["d_mu"], compiled(EXERCISES["d_mu"], written("d_mu", "return mu / 0")),
                                     seed=seed))


SAID = [("iwae", "top = log_w.max(); w = np.exp(log_w - top); return -top - np.log(w.mean(axis=1)), w / w.sum(axis=1)"
         "[:, None]", "subtract each example's own"),
        ("bernoulli_nll", "return np.where(x[:, None] == 1, np.log1p(np.exp(-l)), np.logaddexp(0, l)).sum(axis=2)",
         "overflow"),
        ("bernoulli_nll", "p = 1 / (1 + np.exp(-l)); return -np.log(np.where(x[:, None], p, 1 - p) + 1e-8).sum(axis=2)",
         r"It is ([\d.]+) at (?!.* \1 is right)"),
        ("bernoulli_nll", "return (np.maximum(l, 0) + np.log1p(np.exp(-l)) - x[:, None] * l).sum(axis=2)",
         r"inf at l = \[-3000\. -1000\.   -30\. -3000\. -1000\.   -30\.\], x"),
        ("continuous_bernoulli_nll", "t = np.abs(a); s = np.where(t > 1e-2, t, 1); A = np.where(t > 1e-2, np.maximum("
         "a, 0) + np.log(-np.expm1(-s) / s), a / 2); return (A - x * a).sum(axis=1)",
         r"and wrong at a = \[ 0\.001  0\.009 -0\.001 -0\.009\], x"),
        ("sample", "return mu", "an axis is missing"),
        ("kl_normal", "return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1, keepdims=True)", "keepdims"),
        ("kl_normal", "return 0.5 * (mu**2 + np.exp(logvar) - 1 - np.log(logvar)).sum(axis=1)",
         "logvar = .*what is negative"),
        ("kl_normal", "return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=0)",
         "axis=0.*in the place of.*axis=1"),
        ("adam", "m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2; return theta - rate * m / (1 - 0.9**step) / "
         "(np.sqrt(v / (1 - 0.999**step)) + 1e-7), m, v", " g = "),
        ("stl", "s = np.exp(logvar / 2)[:, None]; g = 2 * (d_z + (z - eps / s) / eps[..., 0].size); "
         "return g.sum(axis=1), (g * eps * s / 2).sum(axis=1)", "^d_mu and d_logvar are each 2 x the right one"),
        ("d_logvar", "s = np.exp(logvar / 2); return (d_z * eps).sum(axis=1) * s + beta * (s**2 - 1) / len(s)",
         r"^It is 2 x the right one: is a 1/2 of the forward missing, or a term added twice\?$"),
        ("kl_normal", "return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1) / len(mu)", "^It is 1/B =[^;]+$"),
        ("adam", "return theta", "returns something of type ndarray"),
        ("score_function", "return eps.sum(axis=1)", "returns something of type ndarray"),
        ("kl_normal", "kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1); return np.where(kl < 0.1, 0, kl)",
         "^Right at ordinary numbers, and wrong at "),
        ("kl_discrete", "return np.sum(p * np.log(p / q))", r"nan at p = \[0\. .*the log of 0"),
        ("kl_discrete", "seen = p > 0; return np.sum(q[seen] * np.log(p[seen] / q[seen]))", r"not over q\.$"),
        ("kl_discrete", "seen = p > 0; return np.sum(q[seen] * np.log(q[seen] / p[seen]))", "other direction"),
        ("log_weights", "return np.log(np.exp(-nll) * np.exp((eps**2 + logvar[:, None] - z**2).sum(axis=2) / 2))",
         "inf at nll"),
        *(("d_l_continuous", f"small = abs(a) < {edge}; safe = np.where(small, 1, a); return (np.where(small, "
           "0.5 + a / 12, -1 / np.expm1(-safe) - 1 / safe) - x) / len(a)", "and not to nine|wrong at a = ")
          for edge in (0.0199, 0.0095, 1e-8, 1e-9, 1e-11))]


@pytest.mark.parametrize("name, body, words", SAID, ids=[name for name, *_ in SAID])
def test_a_wrong_answer_is_found_where_it_is_wrong_and_told_so(name, body, words):
    verdict = judge(EXERCISES[name], compiled(EXERCISES[name], written(name, body)), seed=0)
    assert verdict.state == "wrong" and re.search(words, verdict.text), verdict


STEP = "_, p, m, v = train_step(p, m, v, step, x, rng.standard_normal((len(x), 1, n_latent)), 1.0, 0.005)"


@pytest.mark.parametrize("right, other", [
    ("(len(x), 1, n_latent)", "(len(x), 2, n_latent)"),
    (STEP, STEP.replace("_, p, m, v", "_, *new") + "; p, m, v = map(dict, new)"),
    (STEP, STEP.replace("_, p, m, v", "_, *new") + "; _ = [old.update(one) for old, one in zip((p, m, v), new)]"),
    (STEP, STEP.replace("v, step", "v, step=step").replace(" x,", " x=x,").replace("rng.s", "eps=rng.s").replace(
        "1.0, ", "beta=1.0, rate=")),
    (STEP + "\n    return p", STEP.replace("_, p", "loss, p") + "\n    print(loss)\n    return p"),
    ("m, v = ({name: np.zeros(shape) for name, shape in shapes.items()} for _ in range(2))",
     "m, v = (dict.fromkeys(shapes, 0.0) for _ in range(2))"),
    ("def train", "@np.errstate(over='ignore')\ndef train")],
    ids=["two samples", "copied dicts", "updated dicts", "named arguments", "loss printed at the end", "means from 0",
         "decorated"])
def test_a_training_loop_may_be_written_another_way(right, other):
    """A copy of what the last step left was not "those of the next step"; no epoch leaves no loss to print."""
    exercise = EXERCISES["train"]
    assert right in exercise.answer
    verdict = judge(exercise, compiled(exercise, exercise.answer.replace(right, other)), seed=0)
    assert verdict.state == "right", verdict


TRAINING = [
    ("1.0, 0.005)", "1.0, 0.0001)", r"24\.8\): is the rate 5e-3, has a batch 32 rows, .*n_in\)\?$"),
    ("default_rng(seed)", "default_rng()", "same seed must give the same p"),
    ("rng.standard_normal((len(x)", "np.random.default_rng(step).standard_normal((len(x)", "must give other noise"),
    ("rng.permutation", "np.random.default_rng(step).permutation", "must give another order"),
    ("rng.standard_normal((len(x)", "rng.uniform(-1, 1, (len(x)", "the mean square 0.3"),
    ("rng.standard_normal((len(x)", "rng.uniform(-3**0.5, 3**0.5, (len(x)", "the mean square (0.9|1.0)"),
    ("rng.standard_normal((len(x)", "0.9 * rng.standard_normal((len(x)", "the mean square 0.8"),
    ("rng.standard_normal((len(x),", "np.ones((len(x), 1, 1)) * rng.standard_normal((1,", "share their noise"),
    ("(len(x), 1, n_latent))", "(len(x), 1, 1)) * np.ones(n_latent)", "share their noise")]


@pytest.mark.parametrize("right, wrong, words", TRAINING, ids=[wrong for _, wrong, _ in TRAINING])
def test_a_wrong_training_loop_is_told_what_is_wrong(right, wrong, words):
    exercise = EXERCISES["train"]
    assert right in exercise.answer
    verdict = judge(exercise, compiled(exercise, exercise.answer.replace(right, wrong)))
    assert verdict.state == "wrong" and re.search(words, verdict.text), verdict


@pytest.mark.parametrize("took, seconds", [(0.01, 5), (2, 100)])
def test_a_loop_has_the_time_that_the_model_answer_needs_50_times(monkeypatch, took, seconds):
    """Batches of 8, and a gradient example by example, took longer than 5 s and were WRONG at times."""
    monkeypatch.setattr("time.perf_counter", iter([0, took]).__next__)
    assert patience.__wrapped__("leave_one_out") == seconds


def test_a_loop_without_end_ends():
    with Attempt("d_mu", seconds=0.1) as attempt:
        while True:
            pass
    assert attempt.failure == "d_mu is not done after 0.1 s: does a loop not end, or take one number at a time?"


def test_ctrl_c_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        with Attempt("d_mu"):
            raise KeyboardInterrupt


def test_only_functions_named_like_exercises_are_checked():
    with pytest.raises(ConfigurationError, match="kl_discrete"):
        check(lambda x: x)
    with pytest.raises(ConfigurationError, match="d_mu"):
        find("d_mew")
    assert [exercise.name for exercise in find("E7")] == ["d_logvar"]


# Folders --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("notebook", [False, True], ids=["files", "notebook"])
def test_a_finished_set_is_a_working_vae(tmp_path, notebook):
    paths = start(tmp_path / "mine", notebook)
    assert {verdict.state for verdict in Folder(tmp_path / "mine").check(list(EXERCISES.values()))} == {"unsolved"}
    solve(tmp_path / "mine")
    assert not any("    ...\n" in path.read_text(encoding="utf-8") for path in paths)
    verdicts = Folder(tmp_path / "mine").check(list(EXERCISES.values()))
    assert {verdict.state for verdict in verdicts} == {"right"}, verdicts
    assert {entry["state"] for entry in Folder(tmp_path / "mine").progress.values()} == {"right"}


def test_the_cells_of_the_notebook_run_as_a_notebook_runs_them(tmp_path):
    path, = start(tmp_path, notebook=True)
    solve(tmp_path, ["d_mu", "d_logvar"])
    notebook, namespace, said = json.loads(path.read_text(encoding="utf-8")), {"__name__": "__main__"}, {}
    assert notebook["nbformat"] == 4 and len(notebook["cells"]) == 2 + 3 * len(EXERCISES)
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["metadata"].get("tags") == ["check"]:
            said[source] = eval(source, namespace).state
        elif cell["cell_type"] == "code":
            exec(source, namespace)
    assert said.pop("check(d_mu)") == said.pop("check(d_logvar)") == "right" and set(said.values()) == {"unsolved"}


def test_a_cell_may_be_one_string(tmp_path):
    """As nbformat allows: lines of magic are dropped, and no percent sign inside of a line."""
    start(tmp_path, notebook=True)
    book = json.loads((tmp_path / "practice.ipynb").read_text(encoding="utf-8"))
    cell = next(cell for cell in book["cells"] if "".join(cell["source"]).startswith("def d_b("))
    cell["source"] = "%matplotlib inline\ndef d_b(d_a):\n    return d_a.sum(axis=4 % 2) if 1 != 2 else 0\n"
    (tmp_path / "practice.ipynb").write_text(json.dumps(book))
    assert Folder(tmp_path).check(find("d_b"))[0].state == "right"


def test_a_cell_that_defines_an_answer_anew_counts(tmp_path):
    """The failure of an earlier cell with the same function stayed."""
    path, = start(tmp_path, notebook=True)
    book = json.loads(path.read_text(encoding="utf-8"))
    k = next(k for k, cell in enumerate(book["cells"]) if "".join(cell["source"]).startswith("def d_b("))
    book["cells"].insert(k, {**book["cells"][k], "source": "def d_b(d_a):\n    return d_a.sum(axis=1)\nd_b(3)\n"})
    book["cells"][k + 1]["source"] = "def d_b(d_a):\n    return d_a.sum(axis=0)\n"
    path.write_text(json.dumps(book))
    assert Folder(tmp_path).check(find("d_b"))[0].state == "right"


def test_nobodys_work_is_overwritten(tmp_path):
    start(tmp_path)
    solve(tmp_path, ["d_mu"])
    for notebook in (False, True):
        with pytest.raises(RunError, match="not overwritten"):
            start(tmp_path, notebook)
    assert Folder(tmp_path).check(find("d_mu"))[0].state == "right"


def test_a_file_that_cannot_be_read_says_so_and_the_others_are_judged(tmp_path):
    start(tmp_path)
    solve(tmp_path, ["d_W", "d_b"])
    (tmp_path / "c04_backprop_by_hand.py").write_text("import numpy as np\ndef d_mu(:\n")
    (tmp_path / "c05_vae.py").unlink()
    found = {v.name: v for v in Folder(tmp_path).check(find("d_mu") + find("d_W") + find("forward") + find("adam"))}
    assert found["d_mu"].text == "c04_backprop_by_hand.py cannot be read: invalid syntax in line 2."
    assert found["d_W"].state == "right" and "is missing" in found["adam"].text
    assert "cannot be read: invalid syntax in line 2 of c04_backprop_by_hand.py" in found["forward"].text


def test_an_answer_that_calls_a_wrong_one_says_which(tmp_path):
    start(tmp_path)
    solve(tmp_path, set(EXERCISES) - {"d_mu"}, d_mu="def d_mu(d_z, mu, beta):\n    return d_z.sum(axis=1)\n")
    verdict, = Folder(tmp_path).check([EXERCISES["gradient"]])
    assert verdict.text.startswith("It calls d_mu: get that right first.")


def test_a_call_inside_of_a_comprehension_counts_too(tmp_path):
    start(tmp_path)
    solve(tmp_path, set(EXERCISES) - {"adam"}, adam="def adam(theta, g, m, v, step, rate):\n    return theta, m, v\n")
    verdict, = Folder(tmp_path).check([EXERCISES["train_step"]])
    assert verdict.text.startswith("It calls adam: get that right first.")


def test_an_attribute_that_is_named_like_an_exercise_is_no_call_of_it(tmp_path):
    start(tmp_path)
    solve(tmp_path, (), tanh_slope="def tanh_slope(y):\n    return np.gradient(y, axis=0)\n")
    verdict, = Folder(tmp_path).check([EXERCISES["tanh_slope"]])
    assert verdict.state == "wrong" and not verdict.text.startswith("It calls gradient")


def test_answers_that_call_each_other_end_in_verdicts(tmp_path):
    start(tmp_path)
    solve(tmp_path, (), d_mu="def d_mu(d_z, mu, beta):\n    return d_logvar(d_z, d_z, mu, beta)\n",
          d_logvar="def d_logvar(d_z, eps, logvar, beta):\n    return d_mu(d_z, logvar, beta)\n")
    first, second = Folder(tmp_path).check([EXERCISES["d_mu"], EXERCISES["d_logvar"]])
    assert first.text.startswith("It calls d_logvar: get that right first. (d_mu calls itself without end")
    assert second.text.startswith("d_logvar calls itself without end")


def test_files_changed_within_a_second_are_read_anew(tmp_path):
    start(tmp_path)
    folder = tmp_path / "c02_autoencoder.py"
    text = folder.read_text(encoding="utf-8")
    for body, state in (("return d_a.sum(axis=0)", "right"), ("return d_a.sum(axis=1)", "wrong")):
        folder.write_text(text.replace(EXERCISES["d_b"].template, f"def d_b(d_a):\n    {body}\n"))
        assert Folder(tmp_path).check([EXERCISES["d_b"]])[0].state == state
    assert not (tmp_path / "__pycache__").exists() and "c02_autoencoder" not in sys.modules


# The command line -----------------------------------------------------------------------------------------------------


def test_the_way_of_a_student(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(result(capsys, "practice", "start", "mine")["exercises"]) == 30
    status, out, _ = command(capsys, "practice", "check", "mine")
    assert status == 0 and "0 of 30 are right" in out and "Next: kl_discrete" in out
    monkeypatch.chdir(tmp_path / "mine")
    assert "KL(p || q) of two distributions" in command(capsys, "practice", "next")[1]
    hints = [result(capsys, "practice", "hint", "d_logvar")["exercises"][0]["hint"] for _ in range(4)]
    assert hints[:3] == list(EXERCISES["d_logvar"].hints) and hints[3] == hints[2]
    solve(tmp_path / "mine", ["d_mu"], d_logvar="""def d_logvar(d_z, eps, logvar, beta):
    sigma = np.exp(logvar / 2)
    return np.einsum("bkz,bkz,bz->bz", d_z, eps, sigma) + beta * np.expm1(logvar) / 2 / len(logvar)
""")
    status, out, _ = command(capsys, "practice", "check")
    assert status == 1 and "WRONG d_logvar" in out and "right d_mu" in out
    assert "2.00 x the right one: is the 1/2" in " ".join(out.split())
    for name in ("d_mu", "d_logvar"):                 # after a right one comes the next, after a wrong one itself
        out = command(capsys, "practice", "check", name)[1]
        assert "Next: d_logvar, in " in out and "hint d_logvar" in " ".join(out.split())
    assert "sigma / 2" in command(capsys, "practice", "reveal", "E7")[1]
    row, = result(capsys, "practice", "next", "d_logvar")["exercises"]
    assert row["hints"] == 3 and row["revealed"] and row["state"] == "wrong"


@pytest.mark.parametrize("words, said", [
    (("check", "nowhere"), "expected one of 30 names"), (("check", "d_mu"), "holds no exercises"),
    (("hint",), "start practice"),
    (("start", "file/inside"), "cannot be made"), (("check", "a", "b"), "expected one of"),
    (("check", "torn", "damaged", "d_b"), "Leave one out"),
    (("check", "torn/notes"), "holds none of the exercises in torn"),
    (("check", "file"), "holds no exercises"), (("check", "torn/practice.ipynb"), "cannot be read as a notebook"),
    (("check", "torn", "d_mu"), "your answers may still be in it"),
    (("check", "damaged"), "progress.json cannot be read"),
    (("hint", "edited"), "progress.json cannot be read"), (("start", "damaged"), "practice next damaged")])
def test_bad_requests_end_in_one_line(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "progress.json").write_text("[3]")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "practice.ipynb").write_text('{"cells": [{"cell_type": "code"}]}')
    (tmp_path / "torn" / "notes").write_text("")
    (tmp_path / "edited").mkdir()
    (tmp_path / "edited" / "progress.json").write_text('{"kl_discrete": {"hints": -7}}')
    status, _, err = command(capsys, "practice", *words)
    assert status == 2 and err.count("\n") == 1 and said in err


def test_a_file_stands_for_the_exercises_in_it(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = start(Path("mine"))[0]
    inside = [exercise.name for exercise in EXERCISES.values() if f"{exercise.chapter}.py" == path.name]
    status, out, _ = command(capsys, "practice", "check", path, "--json")
    assert status == 1 and [row["name"] for row in json.loads(out.splitlines()[-1])["exercises"]] == inside
    assert result(capsys, "practice", "next", path)["exercises"][0]["name"] == inside[0]


def test_several_exercises_may_be_named(capsys, tmp_path):
    start(tmp_path)
    solve(tmp_path, ["d_W"])
    status, out, _ = command(capsys, "practice", "check", tmp_path, "d_W", "d_b", "D3", "--json")
    rows = json.loads(out.splitlines()[-1])["exercises"]
    assert status == 1 and [(row["name"], row["state"]) for row in rows] == [("d_W", "right"), ("d_b", "unsolved")]
    for action in ("hint", "next", "reveal"):
        assert [row["name"] for row in result(capsys, "practice", action, tmp_path, "d_W", "d_b")["exercises"]] == [
            "d_W", "d_b"]


def test_an_answer_that_is_wrapped_must_be_a_plain_function(tmp_path):
    """np.vectorize, lru_cache and numba.njit make no function: "has no function d_b", which the file had."""
    start(tmp_path)
    solve(tmp_path, ["d_b"], d_b="from functools import lru_cache\n\n\n@lru_cache\n" + EXERCISES["d_b"].answer)
    verdict, = Folder(tmp_path).check(find("d_b"))
    assert "d_b is something of type _lru_cache_wrapper; expected a plain function" in verdict.text
    with pytest.raises(ConfigurationError, match="of type vectorize; expected a plain function"):
        check(np.vectorize(EXERCISES["d_b"].function))


def test_a_copy_without_its_progress_goes_on(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start(Path("my work"))
    Path("my work", "progress.json").unlink()
    assert "practice hint 'my work' kl_discrete" in " ".join(command(capsys, "practice", "check", "my work")[1].split())
    monkeypatch.chdir("my work")
    Path("progress.json").unlink()
    assert "kl_discrete(p, q)" in command(capsys, "practice", "next")[1]


def test_the_courses_own_chapters_are_no_exercises(capsys, tmp_path, monkeypatch):
    """In demos, where chapters are named as the exercises' files, they were judged in the place of practice's."""
    for path in (Path(__file__).parents[1] / "demos").glob("c??_*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    start(Path("practice"))
    assert command(capsys, "practice", "next", "d_mu")[1].startswith(str(Path("practice", "c04")))
    assert not Path("progress.json").exists()


def test_a_folder_may_be_named_like_an_exercise(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start(Path("train"))
    assert len(result(capsys, "practice", "check", "train")["exercises"]) == 30
    assert command(capsys, "practice", "next", "train", "d_mu")[1].startswith(str(Path("train", "c04")))


def test_who_has_solved_all_is_told_so(capsys, tmp_path):
    start(tmp_path)
    (tmp_path / "progress.json").write_text(json.dumps({name: {"state": "right"} for name in EXERCISES}))
    for action in ("next", "hint", "reveal"):
        assert result(capsys, "practice", action, str(tmp_path))["exercises"] == []
        assert "All 30 exercises are right" in command(capsys, "practice", action, str(tmp_path))[1]
    assert "mu" in result(capsys, "practice", "hint", str(tmp_path), "d_mu")["exercises"][0]["hint"]


def test_the_command_compiles_nothing_and_does_not_import_numba(tmp_path):
    code = ("import sys; from scratchvae.__main__ import main; sys.argv[1:] = ['practice', 'start', sys.argv[1]]\n"
            "main(); print('numba' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "mine")], capture_output=True, text=True,
                          env={**{k: v for k, v in os.environ.items() if k != "SCRATCHVAE_BACKEND"}})
    assert done.stdout.split()[-1] == "False", done.stderr
    assert re.search("30 exercises", done.stdout)
