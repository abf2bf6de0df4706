"""The kernels' own tests again, compiled for older processors, and for one that gets no vector code at all.

An x86-64 processor runs the code of the families below its own, so that one machine can check them all.  Run as
a script, this file says what the present process compiles for, and then runs the tests in KERNELS on up to four
threads.  The fixture starts a script a family, all at once: compiling everything takes a minute or two of one core a
family, so conftest lets the first test here be the session's first and the others its last, and without
HYPOTHESIS_PROFILE=ci or thorough only float32 is held to its twins.  Compiled kernels are kept beside those of this
machine, a folder a family.
"""
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scratchvae.kernels import cache, twins

TESTS = Path(__file__).parent
KERNELS = ("test_kernels.py", "test_matmul.py", "test_vectormath.py", "test_random.py", "test_threads.py")
# Without the empty features Numba would still allow this machine's, and only the tile would be an old one.
OLDER = {"avx2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""},
         "sse2": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}}
WIDEST = {"avx2": "ymm", "sse2": "xmm"}                 # registers of 256 and of 128 bits
REFUSE_VECTORS = """
import runpy, sys
from llvmlite import binding
whole = binding.parse_assembly

def refuse(text, *others):
    if "@probe(" in text:
        raise RuntimeError("no such vectors")
    return whole(text, *others)

binding.parse_assembly = refuse
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# All but what starts processes of its own, and what looks at the instructions of loops compiled for that alone.
EVERYTHING = "not all_this_holds and not vector_instructions"
SOME = "float32 and twin_says"
CHOSEN = EVERYTHING if os.environ.get("HYPOTHESIS_PROFILE") in ("ci", "thorough") else SOME
PRODUCTS = "float32 and (dense or multiply or products)"          # what is other code without vectors

pytestmark = pytest.mark.skipif(twins.BACKEND == "numpy", reason="the twins are compiled for no processor")
on_x86_64 = platform.machine() in ("x86_64", "AMD64")


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """For each family: a running process, and the file that its output goes to."""
    started = {}
    for family, settings in {**(OLDER if on_x86_64 else {}), "plain": {}}.items():
        own = cache.usable_folder()
        folder = own.with_name(f"kernels-{family}") if own else tmp_path_factory.mktemp(family)
        environment = {**os.environ, **settings, "NUMBA_NUM_THREADS": "4", "SCRATCHVAE_CACHE": str(folder),
                       "PYTHONPATH": os.pathsep.join(map(str, (TESTS.parent, TESTS)))}
        how = [__file__, "-k", CHOSEN] if settings else ["-c", REFUSE_VECTORS, __file__, "-k", PRODUCTS]
        output = open(tmp_path_factory.mktemp("output") / family, "w+")
        started[family] = output, subprocess.Popen([sys.executable, *how], env=environment, cwd=TESTS.parent,
                                                   stdout=output, stderr=subprocess.STDOUT)
    yield started
    for output, process in started.values():
        process.kill()
        process.wait()
        output.close()


def output_of(run):
    """What a process that must succeed has said."""
    output, process = run
    status = process.wait()
    output.seek(0)
    text = output.read()
    assert status == 0, text
    return text


def test_a_process_of_each_family_starts(runs):
    assert all(process.poll() is None for _, process in runs.values())


@pytest.mark.skipif(not on_x86_64, reason="this processor cannot run their code")
@pytest.mark.parametrize("family", OLDER)
def test_the_kernels_pass_their_tests_on_an_older_processor(runs, family):
    assert f"family {family}, registers {WIDEST[family]}\n" in output_of(runs[family]), "another one has passed"


def test_where_no_vector_code_can_be_built_the_plain_products_pass_after_one_warning(runs):
    text = output_of(runs["plain"])
    assert "family plain, " in text
    assert text.count("RuntimeWarning: no vector code for the processor") == 1


def widest_registers():
    """The widest registers in a loop over exp that is compiled now, not loaded: "zmm", "ymm" or "xmm"."""
    import numba
    from elementwise import ARRAY_TWINS
    array = numba.float32[::1]
    loop = numba.njit((array, array), fastmath=set(twins.FASTMATH))(ARRAY_TWINS["exp"].source)
    return max(re.findall(r"\b[xyz]mm", "\n".join(loop.inspect_asm().values())), default="none")


if __name__ == "__main__":
    import scratchvae.kernels.vectormath  # noqa: F401  (registers exp_array)
    from scratchvae.kernels.microkernel import FAMILY
    sys.stdout.write(f"family {FAMILY.name}, registers {widest_registers()}\n")
    sys.stdout.flush()
    sys.exit(pytest.main(["-x", "-p", "no:cacheprovider", *(str(TESTS / name) for name in KERNELS), *sys.argv[1:]]))
