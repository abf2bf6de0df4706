"""The page on a run's own model: its data, its arithmetic in a real browser, and what it does with strange runs."""
import json
import re
import shutil
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from browser import Browser, needs_browser
from test_cli import refused

from scratchvae import load_data, load_model, VAE
from scratchvae.analysis.evaluation import Sampler
from scratchvae.analysis.latent import interpolate
from scratchvae.cli.main import main
from scratchvae.cli.run_folder import Run
from scratchvae.data.faces import Faces, FACTORS, IMAGE_SHAPE, make_faces, render
from scratchvae.data.loading import Dataset
from scratchvae.elbo import Objective
from scratchvae.errors import ConfigurationError
from scratchvae.model_files import load_run, save_run
from scratchvae.pages import build_page, trained
from scratchvae.pages.packing import pack, rounded
from scratchvae.probability.divergences import kl_terms
from scratchvae.storage.checkpoint import load_arrays, save_arrays

LIKELIHOODS = ("bernoulli", "continuous_bernoulli", "gaussian", "gaussian_scalar", "gaussian_diagonal")
ACTIVATIONS = ("relu", "tanh", "sigmoid", "softplus", "identity")
READ = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def train(folder, *settings):
    with patch.object(Run, "draw", return_value=[]):                   # no figures
        assert main(["train", "--hidden", "16", "--latent", "3", "--learning-rate", "1e-2", "--epochs", "8", "--out",
                     str(folder), *settings]) == 0
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on digits, and its page with a film."""
    folder = train(tmp_path_factory.mktemp("runs") / "<b>'&\"", "--data", "digits")
    assert main(["explore", str(folder), "--film"]) == 0
    return folder


@pytest.fixture(scope="module")
def browser():
    with Browser() as one:
        yield one


def visit(browser, page, fragment=""):
    """Open a page and wait until its weights are unpacked and it is drawn."""
    browser.open(page, fragment)
    browser.evaluate("""new Promise(done => {
        const look = () => document.getElementById("page").hidden ? setTimeout(look, 10)
            : requestAnimationFrame(() => requestAnimationFrame(done));
        look();
    })""")


def content(page):
    return json.loads(READ.search(page.read_text(encoding="utf-8"))[1])


def explored(capsys, tmp_path, *settings, name="run"):
    """Train and explore; return the page."""
    assert main(["explore", str(train(tmp_path / name, *settings)), "--out", str(tmp_path / "page.html")]) == 0
    capsys.readouterr()
    return tmp_path / "page.html"


def npz(path, train, test=None, **labels):
    np.savez(path, train=train, test=train if test is None else test, **labels)
    return str(path)


# ---- the data of a page -----------------------------------------------------------------------------------------

def test_the_page_holds_its_model_and_says_what_rounding_costs(run):
    data, (model, _, _) = content(run / "explore.html"), load_run(run / "model.npz")
    held, _ = trained.rounded_model(model)
    apart = np.abs(held.parameters.flat - model.parameters.flat).max()
    assert 0 < apart <= 0.5 * np.abs(model.parameters.flat).max() / 32767 * 1.001       # 16 bits, to the nearest
    assert data["weights"]["levels"] == 32767 and data["loss"][0] != data["loss"][1]
    assert abs(data["loss"][0] - data["loss"][1]) < 1e-3 and data["run"] == run.name


def test_the_film_ends_in_the_bits_of_the_run(run):
    film = content(run / "explore.html")["film"]
    history = np.array(content(run / "explore.html")["history"])
    assert film["same"] and film["steps"][0] == 1 and sorted(set(film["steps"])) == film["steps"]
    assert film["steps"][-1] == 96 and np.allclose(film["losses"][-1], history[-1], rtol=1e-6)


def test_the_page_of_a_kept_epoch_ends_with_that_epoch(capsys, tmp_path):
    """It held epoch 28 of 300, and told the losses of epoch 300."""
    rows = np.random.default_rng(0).random((30, 16)) > 0.5
    page = content(explored(capsys, tmp_path, "--data", npz(tmp_path / "noise.npz", rows[:15], rows[15:]), "--keep",
                            "best", "--epochs", "80", "--batch-size", "5"))
    kept = load_model(tmp_path / "run").history_.best()
    assert kept < 80 and page["data"] == f"noise (epoch {kept} of 80 was kept)" and len(page["history"]) == kept
    assert sum(page["history"][-1]) == pytest.approx(page["loss"][0], rel=1e-5)


def test_a_film_of_another_training_says_so(run, capsys):
    other = shutil.copytree(run, run.with_name("other"))
    model, meta, arrays = load_run(other / "model.npz")
    model.parameters.flat[0] += 1e-3
    save_run(model, other / "model.npz", meta, arrays)
    assert main(["explore", str(other), "--film"]) == 0
    said = capsys.readouterr().err
    assert "did not end in the run's own bits" in said and "if --resume changed no setting" in said
    assert not content(other / "explore.html")["film"]["same"]


def test_a_larger_model_has_fewer_levels_and_one_too_large_is_refused():
    vae = VAE(784, n_latent=20, hidden=(400,))                 # weights drawn evenly: none compress worse
    held, weights = trained.rounded_model(vae)
    assert weights["levels"] == 23 and len(weights["text"]) < trained.MOST_TEXT
    assert weights["parameters"] == trained.ORDINARY
    assert not np.array_equal(held.parameters.flat, vae.parameters.flat)
    with pytest.raises(ConfigurationError, match="2,000,000.*fewer --hidden units"):
        trained.rounded_model(VAE(784, n_latent=20, hidden=(1400,)))


def test_the_leak_of_a_decoder_that_paints_the_factors_is_known(monkeypatch):
    """Each vector moves one factor by a fifth of its range: 0.2 sqrt(12) standard deviations of it, and no other."""
    faces = make_faces(60)
    span = np.array([factor.high - factor.low for factor in FACTORS.values()])
    middle = np.array([factor.low for factor in FACTORS.values()]) + span / 2

    class Painter:
        n_latent = len(FACTORS)

        def transform(self, images):
            return np.tile(middle, (len(images), 1))

        def decode(self, z):
            return render(dict(zip(FACTORS, z.T)))

    monkeypatch.setattr(trained, "load_faces", lambda: (faces, Faces(
        render(dict(zip(FACTORS, np.tile(middle, (4, 1)).T))), dict(zip(FACTORS, np.tile(middle, (4, 1)).T)))))
    vectors = iter(np.eye(len(FACTORS)))
    monkeypatch.setattr(trained, "balanced_difference", lambda codes, label, others: 0.2 * span * next(vectors))
    data = Dataset(faces.images, faces.images, None, None, "faces", IMAGE_SHAPE)
    names, _, leak = trained.attributes(Painter(), data, "faces", np.zeros((60, len(FACTORS))))
    assert names[0] == "eye size" and np.abs(leak - 0.2 * np.sqrt(12) * np.eye(len(FACTORS))).max() < 0.01


@pytest.mark.parametrize("settings, message", [
    (["--model", "ae"], "kind 'ae'"), (["--nan"], "not finite"),
    (["--kind"], "KeyError"), (["--old"], "how far")])
def test_runs_that_no_page_can_show_are_refused_in_one_line(run, capsys, tmp_path, settings, message):
    if settings[0] == "--model":
        folder = train(tmp_path / "run", "--data", "digits", *settings)
    else:
        folder = shutil.copytree(run, tmp_path / "run")
        kind, meta, arrays = load_arrays(folder / "model.npz")
        if settings == ["--nan"]:
            arrays["parameters"] = np.where(np.arange(arrays["parameters"].size) == 3, np.nan, arrays["parameters"])
        save_arrays(folder / "model.npz", "cvae" if settings == ["--kind"] else kind,
                    meta | ({"training": {}} if settings == ["--old"] else {}), arrays)
    capsys.readouterr()
    assert main(["explore", str(folder), "--film"]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and "Traceback" not in said


def test_a_run_whose_loss_is_infinite_is_refused(run, capsys, monkeypatch):
    """As at a logvar of 100, of which float32 has no exponential: JSON refused it with a traceback."""
    monkeypatch.setattr(trained, "held_out_objective", lambda *args, **options: Objective(np.inf, np.inf, 1.0))
    refused(capsys, "a held-out loss or KL that is not finite", "explore", run, "--out", run.with_name("infinite.html"))


def test_wrong_places_for_the_page_are_refused(run, capsys, tmp_path):
    for out in ("", "page.txt", str(tmp_path)):
        assert main(["explore", str(run), "--out", out]) == 2
        assert capsys.readouterr().err.startswith("scratchvae explore: error: --out is")


# ---- its arithmetic, in a real browser --------------------------------------------------------------------------

CASES = """(cases => cases.map(({ settings, arrays, x, y, eps, z }) => {
  const { makeModel, klTerms } = modules["explore/arithmetic.js"];
  const typed = a => Float64Array.from(a), list = a => Array.from(a);
  const weights = Object.entries(arrays).map(([name, a]) => [name, { values: typed(a) }]);
  const model = Object.assign(makeModel(settings, Object.fromEntries(weights)), { y });
  const q = model.encode(typed(x)), one = model.sample(typed(x), q, typed(eps));
  return { mu: list(q.mu), logvar: list(q.logvar), kl: list(klTerms(q)), z: list(one.z), mean: list(one.mean),
    nll: one.nll, logWeight: one.logWeight, decoded: list(model.decode(typed(z))) };
}))"""


def drawn_case(rng, k):
    """A model with random weights, one in four with logvars and logits up to hundreds, and what it gives.

    One in seven is given one of three labels.
    """
    likelihood, activation = LIKELIHOODS[k % 5], ACTIVATIONS[k // 5 % 5]
    hidden, y = [(4,), (), (3, 5)][k % 3], k % 3
    vae = VAE(5, n_latent=2, hidden=hidden, likelihood=likelihood, activation=activation, dtype="float64", sigma=0.3,
              n_conditions=3 * (k % 7 == 5))
    vae.parameters.flat[:] = rng.normal(0, 0.7, vae.parameters.flat.size)
    if k % 4 == 3:
        vae.parameters.encoder.head.b[2:] = rng.uniform(-30, 12, 2)
        vae.parameters.decoder.head.b[:] *= 300 if likelihood != "gaussian_diagonal" else 10
    if k % 4 == 2:                                                                  # q is nearly the prior
        vae.parameters.encoder.head.W[:] *= 1e-7
        vae.parameters.encoder.head.b[:] *= 1e-7
    x = rng.integers(0, 2, 5).astype(float) if k % 2 else rng.uniform(0, 1, 5)
    eps, z = rng.standard_normal((1, 2)), rng.standard_normal((1, 2))
    rows = vae.join(x[None], [y])
    mu, logvar = vae.encode(rows)
    objective, sigma = vae.objective(rows, eps), np.exp(0.5 * logvar)
    here = mu + sigma * eps
    log_weight = 0.5 * np.sum(eps**2 - here**2 + logvar) - objective.reconstruction                      # (T13)
    settings = {"likelihood": likelihood, "activation": activation, "hidden": list(hidden), "n_latent": 2,
                "n_conditions": vae.n_conditions, "sigma": vae.likelihood.sigma_of(vae.parameters.likelihood)}
    arrays = {name: values.ravel().tolist() for name, values in vae.parameters.segments()}
    case = {"settings": settings, "arrays": arrays, "x": x.tolist(), "y": y, "eps": eps[0].tolist(), "z": z[0].tolist()}
    return case, {"mu": mu[0], "logvar": logvar[0], "kl": kl_terms(mu, logvar)[0], "z": here[0],
                  "mean": vae.decode(here, [y])[0], "nll": objective.reconstruction, "logWeight": log_weight,
                  "decoded": vae.decode(z, [y])[0]}


@needs_browser
def test_the_page_computes_what_the_twins_compute(run, browser):
    """1,000 drawn cases: every likelihood and activation, extreme log variances and logits."""
    rng = np.random.default_rng(20)
    cases, expected = zip(*(drawn_case(rng, k) for k in range(1000)))
    visit(browser, run / "explore.html")
    found = browser.evaluate(f"{CASES}({json.dumps(cases)})")
    for k, (ours, theirs) in enumerate(zip(expected, found)):
        for name, value in ours.items():
            parts = {"nll": 1, "logWeight": abs(ours["nll"]) + np.square(ours["z"]).sum(),             # what may cancel
                     "kl": 1e-3 * np.abs(ours["logvar"])}
            size = np.maximum(np.abs(value), parts.get(name, 0)).max()
            assert np.abs(value - np.array(theirs[name])).max() <= 1e-12 * size, (k, name, cases[k]["settings"])


@needs_browser
def test_the_page_unpacks_its_own_weights_and_measures_its_own_image(run, browser):
    data, (model, _, _) = content(run / "explore.html"), load_run(run / "model.npz")
    twin = VAE(**{**model.get_params(), "dtype": "float64"})
    steps = {name: rounded(values, 32767) for name, values in model.parameters.segments()}
    for name, (numbers, step) in steps.items():
        twin.parameters[name][...] = numbers * step
    visit(browser, run / "explore.html", "#z=sample&seed=3&image=2&pixels=two")
    weights, eps, x, shown = browser.evaluate("""(() => {
        const image = document.getElementById("x").getContext("2d").getImageData(0, 0, 8, 8);
        return modules["explore/unpack.js"].unpack(modules["shared/page.js"].data.weights).then(found => [
            Object.fromEntries(Object.entries(found).map(([name, { values }]) => [name, Array.from(values)])),
            Array.from(modules["explore/arithmetic.js"].makeRandom(3).normals(3)),
            Array.from(image.data.filter((_, k) => k % 4 === 0)),
            ["nll", "kl"].map(id => document.getElementById(id).textContent)]);
    })()""")
    assert all(np.array_equal(np.ravel(twin.parameters[name]), values) for name, values in weights.items())
    objective = twin.objective(np.array(x)[None] / 255, np.array(eps)[None])
    assert [float(text) for text in shown] == pytest.approx([objective.reconstruction, objective.kl], abs=0.06)
    assert data["labels"][data["shown"][2]] == "2"


@needs_browser
def test_bounds_fits_and_ways_are_those_of_the_library(run, browser):
    rng = np.random.default_rng(0)
    log_w = 5 * rng.standard_normal(64)
    a, b = rng.standard_normal((2, 6))
    ladder = [np.mean(np.log(np.mean(np.exp(log_w.reshape(-1, k)), axis=1))) for k in (1, 2, 4, 8, 16, 32, 64)]
    mixture = {"shares": [0.3, 0.7], "means": [[-1.0, 2.0], [4.0, 0.0]],
               "factors": [[[1.0, 0], [0.5, 2.0]], [[0.2, 0], [0.0, 0.1]]]}
    visit(browser, run / "explore.html")
    found = browser.evaluate(f"""(({{ bounds, between, drawMixture, effective, makeRandom }}) => {{
        const parts = Object.entries({json.dumps(mixture)}).map(([name, value]) => [name, {{ values: value.flat(2) }}]);
        const random = makeRandom(1), list = a => Array.from(a), logW = Float64Array.from({log_w.tolist()});
        const ways = ["straight", "spherical"].map(path => list(between({a.tolist()}, {b.tolist()}, 0.25, path)));
        const draws = () => list(drawMixture(Object.fromEntries(parts), random, 2));
        return [list(bounds(logW)), effective(logW), ...ways, Array.from({{ length: 20000 }}, draws)];
    }})(modules["explore/arithmetic.js"])""")
    w = np.exp(log_w - log_w.max())
    np.testing.assert_allclose(found[0], ladder, rtol=1e-12)
    np.testing.assert_allclose(found[1], w.sum()**2 / (w**2).sum(), rtol=1e-12)
    for way, path in zip(found[2:4], ("straight", "spherical")):
        np.testing.assert_allclose(way, interpolate(a, b, 5, path=path)[1], rtol=1e-12)
    draws = np.array(found[4])
    mean = np.einsum("k,kj->j", mixture["shares"], mixture["means"])
    second = sum(s * (np.outer(m, m) + np.array(f) @ np.array(f).T)
                 for s, m, f in zip(mixture["shares"], mixture["means"], mixture["factors"]))
    assert np.abs(draws.mean(axis=0) - mean).max() < 0.1 and np.abs(draws.T @ draws / len(draws) - second).max() < 0.3


# ---- hands ------------------------------------------------------------------------------------------------------

WAIT = "new Promise(done => setTimeout(done, 400))"
BOX = """(e => { e.scrollIntoView({ block: "center" }); const r = e.getBoundingClientRect();
    return [r.x, r.y, r.width, r.height]; })(document.getElementById("%s"))"""
TEXT = "document.getElementById('%s').textContent.replace(/−/g, '-')"
# What pages.js finds on any page, and controls that lie over one another or outside of the window.
CHECKS = (Path(__file__).parent / "pages.js").read_text(encoding="utf-8")
FAULTS = CHECKS + """(() => { const bad = [...checks.crowded(), ...checks.faint()];
  const seen = e => e.getClientRects().length && !e.closest(".scroll");
  const controls = [...document.querySelectorAll("button, select, input, canvas.paper")].filter(seen);
  const boxes = controls.map(e => e.getBoundingClientRect());
  const shared = (p, q, a, b) => Math.min(p[b], q[b]) - Math.max(p[a], q[a]);
  boxes.forEach((p, i) => {
    if (p.left < 0 || p.right > innerWidth + 0.5) bad.push("outside: " + controls[i].id);
    boxes.slice(i + 1).forEach((q, k) => {
      const over = shared(p, q, "left", "right") > 1 && shared(p, q, "top", "bottom") > 1;
      if (over) bad.push(`over: ${controls[i].id} ${controls[i + 1 + k].id}`);
    });
  });
  return bad; })()"""


@needs_browser
def test_a_run_with_conditions_is_given_the_label_that_is_chosen(capsys, tmp_path, browser):
    page = explored(capsys, tmp_path, "--data", "digits", "--condition")
    model, data, rows = load_run(tmp_path / "run" / "model.npz")[0], content(page), load_data("digits").test
    visit(browser, page)
    value = "document.getElementById('label').value"
    assert browser.evaluate(value) == data["labels"][data["shown"][0]]
    kl = {}
    for label in (3, 8):
        visit(browser, page, f"#image=2&pixels=gray&label={label}")
        kl[label] = float(browser.evaluate(TEXT % "kl"))
        exact = model.objective(model.join(rows[data["shown"][2:3]], [label]), np.zeros((1, 3))).kl
        assert browser.evaluate(value) == str(label) and kl[label] == pytest.approx(exact, abs=0.02)
    assert abs(kl[3] - kl[8]) > 0.05 and browser.errors == [] and browser.evaluate(FAULTS) == []
    browser.evaluate("document.querySelectorAll('.thumb')[4].click()")
    browser.evaluate(WAIT)
    assert browser.evaluate(value) == data["labels"][data["shown"][4]]


@needs_browser
def test_hands_draw_walk_and_send_the_state_in_the_fragment(run, browser):
    visit(browser, run / "explore.html")
    browser.evaluate("document.getElementById('clear').click()")
    before = browser.evaluate(TEXT % "nll")
    x, y, width, height = browser.evaluate(BOX % "x")
    browser.drag([(x + width * t, y + height / 2) for t in (0.3, 0.5, 0.7)])
    assert browser.evaluate(TEXT % "nll") != before
    browser.evaluate("document.getElementById('x').focus()")
    browser.key("ArrowDown", 2)
    browser.key(" ")
    x, y, width, height = browser.evaluate(BOX % "pad")
    browser.drag([(x + 60, y + 40), (x + 90, y + 60)])
    browser.evaluate("document.getElementById('slider0').focus()")
    browser.key("ArrowRight", 3)
    browser.evaluate("document.getElementById('frame').focus()")
    browser.key("Home")
    browser.evaluate("document.getElementById('again').click()")
    browser.evaluate(WAIT)
    state = f"[location.hash, {', '.join(TEXT % name for name in ('nll', 'kl', 'far', 'moment'))}, slider0.value]"
    sent = browser.evaluate(state)
    assert all(f"{key}=" in sent[0] for key in ("drawn", "offset", "seed", "frame"))
    assert sent[4].startswith("Step 1 of 96") and browser.evaluate(
        "document.getElementById('frame').getAttribute('aria-valuetext')").startswith("Step 1 of 96: rate")
    visit(browser, run / "explore.html", sent[0])
    assert browser.evaluate(state) == sent
    visit(browser, run / "explore.html", "#image=99&drawn=z&goal=-7&t=9&a=no&offset=9:9,1:x&across=77&path=no&frame=-3")
    assert browser.evaluate("['goal', 't', 'a', 'across', 'path', 'frame'].map(id => document.getElementById(id).value)"
                            ) == ["-1", "1", "0", "2", "straight", "0"]
    assert browser.requests == [] and browser.errors == []


@needs_browser
def test_a_chart_that_is_drawn_again_looks_the_same(run, browser):
    """Its grid was drawn as thick as the last curve or point before it."""
    visit(browser, run / "explore.html")
    first, again = browser.evaluate("""(async () => {
        const first = pad.toDataURL();
        dispatchEvent(new Event("resize"));
        await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
        return [first, pad.toDataURL()];
    })()""")
    assert first == again


@needs_browser
def test_the_bound_climbs_with_k(run, browser):
    visit(browser, run / "explore.html", "#pixels=two")
    browser.evaluate(f"""new Promise(done => {{
        const look = () => {TEXT % "found"}.includes("4,096 draws") ? done() : setTimeout(look, 50);
        look();
    }})""")
    elbo, above = re.search(r"= (\S+) nats .*least (\S+) nats", browser.evaluate(TEXT % "found")).groups()
    data, (model, _, _) = content(run / "explore.html"), load_run(run / "model.npz")
    x = (load_data("digits").test[data["shown"][:1]] > 0.5).astype("float32")
    head = np.concatenate(model.encode(x), axis=1)
    log_p, _, _ = Sampler(model, 1).summary(head, x, 20000, 0, 0)
    assert float(elbo) < float(above) and abs(float(above) - log_p[0]) < 0.3
    browser.evaluate("document.getElementById('pixels').value = 'gray'; document.getElementById('pixels').oninput()")
    browser.evaluate(WAIT)
    assert "no likelihood" in browser.evaluate(TEXT % "found")


@needs_browser
@pytest.mark.parametrize("width", [380, 768, 1440])
def test_nothing_is_cut_or_covered_and_everything_has_a_name(run, browser, width):
    browser.viewport(width)
    for mode, fragment in (("light", ""), ("dark", "#offset=1:-7,2:7&t=1&a=-2&pixels=gray&z=mean")):
        browser.media(prefers_color_scheme=mode)
        visit(browser, run / "explore.html", fragment)
        browser.evaluate(WAIT)
        assert browser.evaluate(FAULTS) == []
    browser.evaluate("document.getElementById('sliders').lastChild.scrollIntoView({ block: 'center' })")
    top, bottom = browser.evaluate("(r => [r.top, r.bottom])(walked.getBoundingClientRect())")
    assert 0 <= top < bottom <= 900                              # what the sliders change stays in sight of them
    named = ("slider", "button", "combobox", "image", "application", "region")
    assert [(role, name) for role, name in browser.tree() if role in named and not name] == []
    browser.viewport(1440)
    browser.media()


@needs_browser
def test_the_keyboard_reaches_every_control(run, browser):
    visit(browser, run / "explore.html")
    place = "[...document.querySelectorAll('*')].indexOf"
    controls = "button, select, input, [role=application], [role=region]"
    wanted = browser.evaluate(f"[...document.querySelectorAll('{controls}')]"
                              f".filter(e => e.getClientRects().length).map(e => {place}(e))")
    reached = set()
    for _ in range(len(wanted) + 3):
        browser.key("Tab")
        reached.add(browser.evaluate(f"{place}(document.activeElement)"))
    assert set(wanted) <= reached


# ---- strange runs -----------------------------------------------------------------------------------------------

@needs_browser
@pytest.mark.parametrize("kind", ["one pixel", "no picture", "other labels", "gaussian_diagonal", "gaussian_optimal"])
def test_strange_data_make_a_page_that_works(capsys, tmp_path, browser, kind):
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 1, (20, {"one pixel": 1, "no picture": 7}.get(kind, 9)))
    labels = dict.fromkeys(("train_labels", "test_labels"), np.arange(20) % 3 * 2**62 - 2**62)
    source = npz(tmp_path / "a <b>&'.npz", 40 * rows - 3 if "gaussian" in kind else rows,
                 **(labels if kind == "other labels" else {}))
    settings = ["--likelihood", kind] if "gaussian" in kind else []
    page = explored(capsys, tmp_path, "--data", source, "--latent", "1" if kind == "one pixel" else "2", *settings)
    browser.errors.clear()
    visit(browser, page, "#t=0.3")
    x, y, width, height = browser.evaluate(BOX % "x")
    browser.drag([(x + width * t, y + height / 2) for t in (0.2, 0.8)])
    browser.evaluate(WAIT)
    nll, kl = (float(browser.evaluate(TEXT % name)) for name in ("nll", "kl"))
    assert np.isfinite([nll, kl]).all() and browser.errors == [] and browser.evaluate(FAULTS) == []
    assert "a <b>&'" in browser.evaluate(TEXT % "about")
    if kind == "other labels":
        assert f"label {-2**62}" in browser.evaluate(TEXT % "goal")


@needs_browser
def test_a_color_picture_goes_in_and_comes_out_whole(capsys, tmp_path, browser):
    """Only its first rows * columns numbers went in, and were shown as gray."""
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 3, 3), dtype=np.uint8)
    page = explored(capsys, tmp_path, "--data", npz(tmp_path / "color.npz", images))
    model, rows = load_run(tmp_path / "run" / "model.npz")[0], images.reshape(20, -1) / 255
    visit(browser, page, "#image=2&z=mean&pixels=gray")
    loss = model.objective(rows[2:3], np.zeros((1, 3)))
    assert float(browser.evaluate(TEXT % "nll")) == pytest.approx(loss.reconstruction, abs=0.02)
    shown = {name: np.reshape(browser.evaluate(f"[...{name}.getContext('2d').getImageData(0, 0, 3, 4).data]"),
                              (4, 3, 4))[..., :3] for name in ("x", "reconstruction")}
    assert np.array_equal(shown["x"], images[2])
    assert np.abs(shown["reconstruction"].ravel() / 255 - model.reconstruct(rows[2:3])[0]).max() < 0.003
    x, y, width, height = browser.evaluate(BOX % "x")
    browser.drag([(x + width / 6, y + height / 8)] * 2)                                # the first pixel, in all three
    assert browser.evaluate("[...x.getContext('2d').getImageData(0, 0, 1, 1).data]") == [255] * 4
    assert "36-16-3" in browser.evaluate(TEXT % "about") and browser.errors == []


@needs_browser
def test_no_number_of_a_chart_is_cut(capsys, tmp_path, browser):
    """-2133.5 nats lost the sign: 46 pixels were left for the numbers of every chart."""
    rows = np.random.default_rng(0).random((20, 3072)) > 0.5
    visit(browser, explored(capsys, tmp_path, "--data", npz(tmp_path / "large.npz", rows), "--learning-rate", "1e-6"))
    drawn = browser.evaluate("""new Promise(done => {
        const found = [], { fillText } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.fillText = function (words, x, y) {
            fillText.call(this, words, x, y);
            found.push([words, x - this.measureText(words).width * (this.textAlign === "right")]);
            if (this.canvas.id === "climb" && words.includes("nats")) done(found);
        };
        dispatchEvent(new Event("resize"));
    })""")
    assert any(re.fullmatch(r"−2\d{3}\.\d", words) for words, *_ in drawn)
    assert min(left for _, left in drawn) >= 0


@needs_browser
def test_a_run_named_like_the_end_of_a_script_is_a_name(run, tmp_path, browser):
    data = content(run / "explore.html") | {"run": "</script><script>nowhere()</script>",
                                            "attributes": ["<i>'\"&</script>"] * 10}
    (tmp_path / "page.html").write_text(build_page("explore", data), encoding="utf-8")
    browser.errors.clear()
    visit(browser, tmp_path / "page.html")
    assert browser.evaluate(TEXT % "run") == data["run"] and browser.errors == []
    assert browser.evaluate("document.getElementById('attribute').options[0].text") == data["attributes"][0]


def test_packed_numbers_are_text_that_html_and_json_leave_alone():
    text = pack({"a": rounded(np.random.default_rng(0).standard_normal(5000), 127)})["text"]
    assert not set(text) & set('<"\\\n') and json.dumps(text) == f'"{text}"'
