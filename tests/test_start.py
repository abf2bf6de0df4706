"""How a command starts: what is wrong with the environment is one line, and so is Ctrl-C before there is a command."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

import scratchvae
from scratchvae.kernels import twins

ROOT = Path(__file__).parents[1]
TRAIN = ["train", "--data", "digits", "--hidden", "16", "--latent", "2", "--epochs", "1"]


def start(*words, **environment):
    return subprocess.Popen([sys.executable, "-m", "scratchvae", *words], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, **environment})


SETTINGS = [("SCRATCHVAE_BACKEND", "cpu"), ("NUMBA_NUM_THREADS", "0"), ("NUMBA_NUM_THREADS", "999999"),
            ("NUMBA_OPT", "9"), ("MPLBACKEND", "nonsense")]


@pytest.mark.parametrize("words", [["--help"], TRAIN, ["gradcheck"], ["data", "list"]], ids=lambda words: words[0])
@pytest.mark.parametrize("variable, value", SETTINGS)
def test_a_setting_that_cannot_be_followed_is_one_line_and_status_2(tmp_path, variable, value, words):
    if variable.startswith("NUMBA") and twins.BACKEND == "numpy":
        pytest.skip("Numba is not asked")
    extra = ["--out", str(tmp_path / "run")] if words is TRAIN else []
    process = start(*words, *extra, **{variable: value})
    out, err = process.communicate()
    assert process.returncode == 2 and not out and not list(tmp_path.iterdir())
    assert err.count("\n") == 1 and err.startswith("scratchvae: error: ") and variable in err


def test_the_environment_is_one_clear_exception_in_python():
    def python(code):
        return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                              env={**os.environ, "MPLBACKEND": "nonsense"})

    assert python("from scratchvae import VAE").returncode == 0, "a model needs no figures"
    done = python("from scratchvae.plots.sheet import new_figure; new_figure(1, 1)")
    assert done.stderr.splitlines()[-1].startswith("scratchvae.errors.ConfigurationError: MPLBACKEND is 'nonsense'")


def test_a_backend_that_matplotlib_knows_is_left_alone(tmp_path):
    process = start(*TRAIN, "--out", str(tmp_path / "run"), MPLBACKEND="svg")
    process.communicate()
    assert process.returncode == 0 and len(list((tmp_path / "run" / "figures").iterdir())) >= 5


def test_the_public_names_are_there_before_they_are_imported():
    code = ("import scratchvae, sys; "
            "print('numpy' in sys.modules, sorted(set(scratchvae.__all__) - set(dir(scratchvae)))); "
            "from scratchvae import *; print(VAE, load_data, evaluate)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("False []\n"), done.stderr
    assert sorted(scratchvae._HOMES) == sorted(scratchvae.__all__)
    with pytest.raises(AttributeError, match="'scratchvae' has no attribute 'VEA'"):
        scratchvae.VEA


INTERRUPTED = """
import signal, sys
moment, words = sys.argv[1], sys.argv[2:]

class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == moment:
            signal.raise_signal(signal.SIGINT)

def main():
    from scratchvae.__main__ import main
    if moment == "compilation":
        from scratchvae.kernels import cache
        cache.KernelCache.save_overload = lambda *_: signal.raise_signal(signal.SIGINT)
    sys.argv[1:] = words
    sys.exit(main())

sys.meta_path.insert(0, Interrupt())
main()
"""


@pytest.mark.parametrize("moment", ["scratchvae.cli.main", "numpy", "numba", "numba.core.types",
                                    "scratchvae.kernels.dense", "scratchvae.plots", "compilation"])
def test_ctrl_c_while_modules_are_imported_or_kernels_compiled_is_one_line(tmp_path, moment):
    if twins.BACKEND == "numpy" and ("numba" in moment or moment == "compilation"):
        pytest.skip("Numba is not asked")
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, moment, "gradcheck"], cwd=ROOT, capture_output=True,
                          text=True, env={**os.environ, "SCRATCHVAE_CACHE": str(tmp_path)})
    wanted = "scratchvae gradcheck: interrupted\n" if moment == "compilation" else "scratchvae: interrupted\n"
    assert (done.returncode, done.stderr) == (130, wanted)


def test_a_job_in_the_background_that_ignores_ctrl_c_goes_on_ignoring_it():
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + INTERRUPTED
    done = subprocess.run([sys.executable, "-c", code, "numba", "data", "list"], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.returncode == 0 and not done.stderr
