"""Hypothesis profiles: HYPOTHESIS_PROFILE=dev (the default), ci, thorough, mutation; and which tests come first."""
import os
import platform
import signal
import sys

import pytest
from hypothesis import HealthCheck, Phase, settings

COMMON = dict(deadline=None, suppress_health_check=[HealthCheck.too_slow])     # the first example compiles kernels
settings.register_profile("dev", max_examples=20, **COMMON)
settings.register_profile("ci", max_examples=20, derandomize=True, print_blob=True, **COMMON)
settings.register_profile("thorough", max_examples=1000, **COMMON)
# A failure is all that is asked for: it is not made smaller.
settings.register_profile("mutation", max_examples=20, derandomize=True, phases=[Phase.explicit, Phase.generate],
                          **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

# Started by nohup or in the background of a script, the tests' processes would inherit signals that are ignored.
for name, default in (("SIGHUP", signal.SIG_DFL), ("SIGINT", signal.default_int_handler), ("SIGTERM", signal.SIG_DFL)):
    number = getattr(signal, name, None)                                       # Windows has no SIGHUP
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, default)


def pytest_configure(config):
    """Let NumPy warn of what did not happen in a product: such a flag of the processor says nothing.

    OpenBLAS computes on what happens to lie behind its arrays, and leaves the result out.  It multiplies a float32
    matrix of 3 x 5 by a vector so on a processor with AVX-512; a signaling NaN that lies there is an "invalid value".
    Arm's matrix unit sets the other flags as well (NumPy's issue 28687).  Accelerate and OpenBLAS use it.
    """
    arm = "|divide by zero|overflow" if sys.platform == "darwin" or platform.machine() == "aarch64" else ""
    config.addinivalue_line("filterwarnings", f"ignore:(invalid value{arm}) encountered in (matmul|dot|vecdot)"
                            ":RuntimeWarning")


@pytest.fixture
def no_figures(monkeypatch):
    """Runs draw no figures, which would take longest."""
    monkeypatch.setattr("scratchvae.cli.run_folder.Run.draw", lambda *_: [])


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call():
    """Skip tests of links on Windows, where most users may not make any."""
    try:
        return (yield)
    except OSError as error:
        if getattr(error, "winerror", None) == 1314:    # a privilege is missing
            pytest.skip("this user may make no links")
        raise


def pytest_collection_modifyitems(items):
    """Start the processes of test_families first and wait for them last: both cores are then busy meanwhile."""
    def turn(item):
        if "test_families.py" not in item.nodeid:
            return 1
        return 0 if item.name == "test_a_process_of_each_family_starts" else 2
    items.sort(key=turn)
