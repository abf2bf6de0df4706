"""The pages in a real browser: their arithmetic is the package's, and hands can use them."""
import json
import re
import webbrowser
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, needs_browser, TWO_FRAMES
from matplotlib.image import imread

from scratchvae import VAE
from scratchvae.bugs import inject
from scratchvae.cli.main import main
from scratchvae.estimators import head_gradient
from scratchvae.oracles import Quadrature
from scratchvae.pages import backward_page, build_page

CHECKS = (Path(__file__).parent / "pages.js").read_text(encoding="utf-8")
N_CASES = 1000
CLOSE = 1e-12                   # relative to the largest number of the gradient: both sides add up a few dozen terms
ESTIMATORS = ("analytic", "antithetic", "monte_carlo", "stl", "score_function", "iwae", "dreg")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "backward.html"
    path.write_text(backward_page(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests; none of them may ask the network for anything, or log an error."""
    with Browser() as browser:
        yield browser
        assert not browser.requests and not browser.errors


def ask(browser, check, *arguments):
    """Return what a check of pages.js finds in the page that is open."""
    words = ", ".join(map(json.dumps, arguments))
    return browser.evaluate(f"{CHECKS}; checks.{check}({words})")


@cache
def vae_of(Z, likelihood, estimator="analytic", K=1):
    return VAE(2, n_latent=Z, hidden=(1,), activation="tanh", likelihood=likelihood, sigma=0.5, estimator=estimator,
               n_samples=K, dtype="float64")


def names_of(Z):
    """The page's names of the parameters, in the order of the package's segments."""
    head = [f"{kind}{half}{j + 1}" for kind in "Wc" for half in "mv" for j in range(Z)]
    return ["U1", "U2", "a", *head, *(f"R{j + 1}" for j in range(Z)), "r", "S1", "S2", "s1", "s2"]


def drawn_case(i):
    """Settings of the page, and the package's numbers: every fourth case has extreme log variances, logits or both."""
    rng = np.random.default_rng(i)
    Z, B, K, likelihood = 1 + i % 2, 1 + i // 2 % 2, 1 + i // 4 % 2, ("bernoulli", "gaussian")[i // 8 % 2]
    estimator, samples = ESTIMATORS[i % 7], int(rng.choice([2, 4, 6]))
    theta = dict(zip(names_of(Z), rng.uniform(-1.5, 1.5, 8 + 5 * Z)))
    if i % 4 == 3:
        theta |= {f"cv{j + 1}": rng.uniform(-40, 40) for j in range(Z)} if i % 8 == 3 else {}
        theta |= {"s1": rng.uniform(-1000, 1000), "s2": rng.uniform(-40, 40)} if i % 12 != 3 else {}
    beta, X = rng.uniform(0.1, 4), rng.random((2, 2)) if i % 3 else rng.integers(0, 2, (2, 2)).astype(float)
    eps, draws = rng.standard_normal((2, 2, Z)), rng.standard_normal((samples, Z))
    vae = vae_of(Z, likelihood, K=K)
    vae.parameters.layout.unpack(np.array(list(theta.values())), vae.parameters.flat)
    vae.beta = beta
    objective, gradient = vae.gradient(X[:B], eps[:B, :K] if K > 1 else eps[:B, 0])
    other = vae_of(Z, likelihood, estimator, samples)
    other.parameters.flat[:] = vae.parameters.flat
    other.beta = beta
    _, head = other.gradient(X[:1], draws[None])
    settings = {**theta, "Z": Z, "B": B, "K": K, "likelihood": likelihood, "beta": beta,
                "estimator": estimator, "samples": samples, "draws": draws.ravel().tolist(),
                **{f"x{n + 1}{d + 1}": X[n, d] for n in range(2) for d in range(2)},
                **{f"eps{n + 1}{k + 1}{j + 1}": eps[n, k, j] for n in range(2) for k in range(2) for j in range(Z)}}
    return settings, {"loss": objective.loss, "gradient": gradient.layout.pack(gradient.flat).tolist(),
                      "head": head["encoder.head.b"].tolist()}


@needs_browser
def test_the_pages_numbers_are_the_packages(browser, page):
    browser.open(page)
    settings, wanted = zip(*map(drawn_case, range(N_CASES)))
    found = ask(browser, "numbers", [{**s, "names": names_of(s["Z"])} for s in settings])
    worst = dict.fromkeys(("loss", "gradient", "head"), (0.0, -1))
    for i in range(N_CASES):
        for key in worst:
            a, b = np.atleast_1d(wanted[i][key]), np.atleast_1d(np.array(found[i][key], float))
            worst[key] = max(worst[key], (float(np.max(np.abs(a - b)) / np.max(np.abs(a))), i))
    assert all(error < CLOSE for error, _ in worst.values()), worst


def set_up(vae, state):
    """Give a model the parameters and beta of the page's state; return X and eps of the first example."""
    vae.parameters.layout.unpack(np.array([state[name] for name in names_of(vae.n_latent)]), vae.parameters.flat)
    vae.beta = state["beta"]
    eps = [state[f"eps11{j + 1}"] for j in range(vae.n_latent)]
    return np.array([[state["x11"], state["x12"]]], float), np.array([eps])


@needs_browser
@pytest.mark.parametrize("fragment", ["#S1=0.8&S2=-0.5&cv1=0.4&beta=0.7", "#Z=2&cv1=-0.8&R1=0.8&R2=-0.4&S1=0.8"])
def test_the_expectations_in_the_page_are_those_of_quadrature(browser, page, fragment):
    """Those of the ELBO's gradient are the oracle's; those of the bound of two samples are the average over a grid."""
    browser.open(page, fragment)
    state, one, two = ask(browser, "expectations")
    Z = state["Z"]
    vae = vae_of(Z, "bernoulli")
    X, _ = set_up(vae, state)
    exact = Quadrature(vae, nodes=32 if Z == 2 else 150).expected_gradient(X)[1]["encoder.head.b"]
    assert np.max(np.abs(exact - one)) < 1e-9
    axis = np.linspace(-6, 6, 49 if Z == 1 else 15)
    mass = np.exp(-axis**2 / 2) / np.exp(-axis**2 / 2).sum()
    grid = np.stack(np.meshgrid(*[axis] * (2 * Z), indexing="ij"), axis=-1).reshape(-1, 2, Z)
    shares = np.prod(np.stack(np.meshgrid(*[mass] * (2 * Z), indexing="ij"), axis=-1).reshape(-1, 2 * Z), axis=1)
    head = np.concatenate(vae.encode(X), axis=1)
    z = (head[0, :Z] + np.exp(head[0, Z:] / 2) * grid).reshape(-1, Z)
    outputs, p = vae.decode_outputs(z), vae.parameters.decoder
    slopes = (1 / (1 + np.exp(-outputs)) - X) @ p.head.W.T * (1 - np.tanh(z @ p[0].W + p[0].b)**2) @ p[0].W.T
    nll = np.sum(np.logaddexp(0, outputs) - X * outputs, axis=1)
    for estimator in ("iwae", "dreg"):
        found = head_gradient(estimator, np.repeat(head, len(grid), axis=0), grid.reshape(-1, Z), nll, slopes,
                              beta=vae.beta)
        assert np.max(np.abs(shares @ found - two)) < (1e-7 if Z == 1 else 1e-4)


@needs_browser
def test_the_pages_faults_are_the_museums(browser, page):
    browser.open(page, "#beta=2.5")
    state, found, told = ask(browser, "faults")
    assert len(found) > 20 and list(found) == told
    for name, wrong in found.items():
        with inject(name):
            vae = vae_of(1, "bernoulli")
            X, eps = set_up(vae, state)
            objective, gradient = vae.gradient(X, eps)
        wanted = dict(zip(names_of(1), gradient.layout.pack(gradient.flat)))
        assert objective.loss == pytest.approx(wrong["loss"], rel=CLOSE), name
        assert wrong["gradient"] == pytest.approx(wanted, rel=CLOSE, abs=CLOSE), name


@needs_browser
def test_no_right_gradient_is_accused(browser, page):
    """No finite difference is off by more than its bound, from ordinary weights to the ends of the ranges."""
    browser.open(page)
    found = ask(browser, "accused")
    assert not found["accused"] and found["judged"] > 3500


STATE = 'modules["backward/state.js"].state'


def middle(browser, selector):
    """Scroll to an element and return the middle of it in the window."""
    return browser.evaluate(f"""(() => {{
        const node = document.querySelector({json.dumps(selector)});
        node.scrollIntoView({{ block: "center", behavior: "instant" }});
        const box = node.getBoundingClientRect();
        return [box.x + box.width / 2, box.y + box.height / 2];
    }})()""")


@needs_browser
def test_numbers_change_under_the_mouse_and_the_keys(browser, page):
    browser.viewport(1440)
    browser.open(page)
    x, y = middle(browser, '[aria-label="weight Wμ from h to μ"]')
    before = browser.evaluate(f"{STATE}.Wm1")
    browser.drag([(x, y), (x + 10, y), (x + 26, y)])
    assert browser.evaluate(f"{STATE}.Wm1") == pytest.approx(before + 26 * 0.02)
    for node, title in (('[aria-label="weight Wμ from h to μ"]', "Wμ, a weight"),
                        ('[aria-label^="from σ to z"]', "the arrow from σ to z")):
        browser.drag([middle(browser, node)])
        assert browser.evaluate("document.getElementById('picked').textContent").startswith(title), node
        assert "✓ they agree" in browser.evaluate("document.getElementById('facts').textContent"), node
    browser.evaluate("""document.querySelector('[aria-label="bias cv"]').focus()""")
    for key in "-1.25":
        browser.key(key)
    assert browser.evaluate(f"{STATE}.cv1") == -1.25
    browser.key("ArrowRight", 3)
    assert browser.evaluate(f"{STATE}.cv1") == -1.22
    x, y = middle(browser, "#given-eps1")
    browser.drag([(x, y), (x + 60, y)])
    assert browser.evaluate(f"{STATE}.eps111") > 1
    agree = browser.evaluate("document.getElementById('verdict').textContent")
    assert agree == "27 of 27 gradients agree"
    browser.evaluate(f"modules['backward/state.js'].change({{ pick: 'U1' }}); {TWO_FRAMES}.then(() => typed.focus())")
    for text, value in (("0.125", 0.125), ("99", 9)):                             # 9 is in the range, 99 is not
        browser.evaluate("typed.select()")
        for letter in text:
            browser.key(letter)
        assert browser.evaluate(f"{STATE}.U1") == value
    browser.evaluate("document.getElementById('rate').focus()")
    browser.key("End")
    browser.evaluate("new Promise(done => setTimeout(done, 400))")
    state, fragment = browser.evaluate(f"[{STATE}, location.hash]")
    browser.open(page, fragment)
    assert browser.evaluate(STATE) == state and "cv1=-1.22" in fragment
    browser.open(page, "#x11=9&U1=abc&step=1e9&fault=nope&Z=7&K=1.5&pick=%3Cb%3E&toString=1&seed=-5")
    assert browser.evaluate(f"(s => [s.x11, s.U1, s.step, s.fault, s.Z, s.K, s.pick, s.seed])({STATE})") == \
        [1, 0.9, 99, "", 1, 1, "mu1", 1]


@needs_browser
def test_buttons_walk_and_ask_and_train(browser, page):
    browser.open(page)
    text = "document.getElementById('said').innerText"
    browser.key("Tab", 2)
    assert browser.evaluate("document.activeElement.id") == "back"
    browser.key("Enter", 2)
    assert "d_KLμ = d_L × β = 1.0000 × 1.0000 = 1.0000" in browser.evaluate(text)
    walked = browser.evaluate("""(async () => {
        const back = document.getElementById("back"), frame = () => new Promise(requestAnimationFrame), said = [];
        for (let i = 0; i < 18; i++) {
            back.click();
            await frame();
            await frame();
            said.push(document.getElementById("said").innerText);
        }
        return said;
    })()""")
    assert any(line.startswith("d_v = so far + d_KLσ × ((σ² − 1) / 2) = ") for line in walked)
    assert walked[-1].startswith("Forward computes")                                     # all is shown again
    browser.open(page, "#ask=sign")
    browser.evaluate("document.getElementById('forward').click()")
    browser.key("Enter")                                                                   # the first answer is +
    assert browser.evaluate("document.getElementById('score').textContent") == \
        "Right: it is 1.0000. Your score: 1 of 1."
    browser.open(page, "#ask=number")
    asked = browser.evaluate("""(async () => {
        const frames = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
        document.getElementById("forward").click();
        const { change } = modules["backward/state.js"], words = () => document.getElementById("asked").textContent;
        change({ U1: 2 });                                              // the question is about the numbers as they are
        guessed.value = 2.1;
        question.requestSubmit();
        const told = score.textContent;
        document.getElementById("back").click();
        const of = words();
        change({ Z: 2 });
        await frames();
        return [told, of, words()];
    })()""")
    assert asked[0] == "Right: it is 2.1000. Your score: 1 of 1." and asked[1] != asked[2]
    browser.open(page, "#beta=0.2&Z=2&rate=0.1")
    before = browser.evaluate(STATE)
    press = "['one', 'one', 'one'].forEach(id => document.getElementById(id).click())"
    browser.evaluate(press)
    trained = browser.evaluate(STATE)
    browser.evaluate("document.getElementById('rewind').click()")
    assert trained != before and browser.evaluate(STATE) == before
    browser.evaluate(press)
    assert browser.evaluate(STATE) == trained                                              # the same noise again

    browser.open(page, "#optimizer=sgd&rate=0.1")                # Adam's moments and their number belong together (O1)
    other, adam = browser.evaluate("""(() => {
        const { start, trainStep } = modules["backward/training.js"], { state } = modules["backward/state.js"];
        let run = start(modules["backward/vae.js"].network(1, "bernoulli"), state);
        for (let i = 0; i < 20; i++) run = trainStep({ ...state, optimizer: i < 19 ? "sgd" : "adam" }, run).next;
        for (let i = 0; i < 20; i++) {
            if (i === 19) optimizer.value = "adam", optimizer.dispatchEvent(new Event("change"));
            one.click();
        }
        return [run.theta, state];
    })()""")
    assert other == {name: adam[name] for name in other}


FAR = "U1 U2 a Wm1 Wm2 Wv1 Wv2 cm1 cm2 cv1 cv2 R1 R2 r S1 S2 s1 s2 eps111 eps112".split()
STATES = ["", *("&".join(f"{name}={sign}9" for name in FAR) + "&x12=1&beta=4" for sign in ("", "-")),
          "step=22&U1=-2&B=2&K=2&fault=missing_half"]


@needs_browser
@pytest.mark.parametrize("width", [380, 768, 1440])
def test_nothing_overlaps_and_no_text_is_cut(browser, page, width):
    browser.viewport(width)
    browser.open(page)
    for fragment in (f"Z={Z}&{state}" for state in STATES for Z in (1, 2)):
        browser.evaluate(f"location.hash = '{fragment}'; {TWO_FRAMES}")
        assert not ask(browser, "crowded"), fragment


@needs_browser
def test_a_graph_wider_than_its_frame_begins_in_the_middle_and_is_shaded_where_there_is_more(browser, page, tmp_path):
    browser.viewport(360)
    browser.open(page, "#Z=2")
    place = browser.evaluate("{ const frame = document.querySelector('#graph').parentNode; frame.scrollIntoView({block:"
                             "'end'}); const { left, right, bottom } = frame.getBoundingClientRect();"
                             "[left, right, bottom, frame.scrollLeft, frame.scrollWidth - frame.clientWidth] }")
    left, right, bottom, at, most = map(round, place)
    assert most > 200 and abs(at - most / 2) <= 1
    for scrolled, shaded in ((at, [True, True]), (0, [False, True]), (most, [True, False])):
        browser.evaluate(f"document.querySelector('#graph').parentNode.scrollLeft = {scrolled}; {TWO_FRAMES}")
        browser.screenshot(tmp_path / "page.png", full=False)
        row = imread(tmp_path / "page.png")[bottom - 4, :, :3].sum(axis=1)
        assert [row[x] < row[(left + right) // 2] - 0.2 for x in (left + 1, right - 2)] == shaded


@needs_browser
@pytest.mark.parametrize("width, height", [(320, 256), (844, 390), (380, 640)])
def test_the_bar_leaves_half_of_a_low_window_free(browser, page, width, height):
    """320 x 256 is what a window of 1280 x 1024 holds at a zoom of 400 %: the bar hid all but 4 lines of it."""
    browser.viewport(width, height)
    browser.open(page)
    browser.evaluate("document.getElementById('graph').scrollIntoView()")
    assert browser.evaluate("document.querySelector('.bar').getBoundingClientRect().bottom") < height / 2
    browser.viewport(1440)


@needs_browser
def test_everything_can_be_read_and_has_a_name(browser, page):
    browser.viewport(1440)
    for scheme in ("light", "dark"):
        browser.media(prefers_color_scheme=scheme)
        browser.open(page, "#fault=missing_half&step=22")
        browser.evaluate("new Promise(done => setTimeout(done, 300))")
        assert not ask(browser, "faint"), scheme
    tree = browser.tree()
    assert sum(role == "slider" for role, _ in tree) > 20
    named = ("slider", "spinbutton", "button", "combobox", "img", "image", "checkbox")
    assert not [role for role, name in tree if role in named and not name]


BLIND = [[[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],      # deuteranopia and protanopia, of
         [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]]     # linear RGB: Machado et al. 2009
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(blind, color):
    """Return the CIE 1976 coordinates of #rrggbb as a color-blind person sees it."""
    rgb = np.array([int(color[i:i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055)**2.4)
    f = np.cbrt(XYZ @ np.clip(blind @ linear, 1e-6, 1) / XYZ.sum(axis=1))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_curves_that_color_alone_tells_apart_differ_to_the_color_blind(browser, page, scheme):
    """IWAE and DReG were red and green, which a deuteranope saw 1.5 apart in the dark."""
    browser.media(prefers_color_scheme=scheme)
    browser.open(page)
    curves = browser.evaluate("""new Promise(done => {
        const found = [], { stroke } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.stroke = function () {
            stroke.call(this);
            if (this.canvas.id !== "signal" || this.lineWidth !== 2) return;
            found.push([`${this.getLineDash()}`, this.strokeStyle]);
            if (found.length === 4) done(found);
        };
        document.getElementById("cloud").scrollIntoView();
    })""")
    browser.media()
    assert len({dash for dash, _ in curves}) == 3
    one, other = (color for dash, color in curves if not dash)
    assert min(np.linalg.norm(lab(blind, one) - lab(blind, other)) for blind in BLIND) > 30


def test_data_cannot_end_the_script_that_holds_them():
    html = build_page("backward", {"name": "</script><script>alert(1)</script>"})
    assert "alert(1)</script>" not in html and html.count("<script") == html.count("</script>") == 2
    with pytest.raises(ValueError):
        build_page("backward", {"weights": [float("nan")]})


def test_the_command_writes_one_file_and_opens_it(tmp_path, capsys, monkeypatch):
    opened, out = [], tmp_path / "new" / "page.html"
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    assert main(["backward", "--out", str(out), "--open", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"file": str(out)}
    assert opened == [out.as_uri()] and out.stat().st_size < 700_000
    assert not re.search(r"(?:src|href)=\"(?!data:)|https?://(?!www.w3.org/2000/svg)", out.read_text(encoding="utf-8"))
    assert main(["backward", "--out", str(tmp_path / "page.txt")]) == 2
    assert "--out is" in capsys.readouterr().err


def without_lines(html):
    """The page without what changes with every commit: the version, and the numbers of the lines that it quotes."""
    return re.sub(r'"version":"[^"]*"|"line":\d+', "", html)


def test_the_prebuilt_page_is_what_the_command_makes():
    prebuilt = Path(__file__).parent.parent / "demos/pages/backward.html"
    if not prebuilt.parent.parent.exists():
        pytest.skip("not a checkout")
    assert without_lines(prebuilt.read_text(encoding="utf-8")) == without_lines(backward_page()), \
        "run `scratchvae backward --out demos/pages/backward.html`"
