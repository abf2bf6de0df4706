"""Odd and bad values of the environment variables that the package, Numba or Python read."""
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from .kills import arrays_of, same
from .verdict import train_command, Verdict

SETTINGS = ["--data", "digits", "--hidden", 16, "--latent", 3, "--batch-size", 400, "--epochs", 2]
UNDRAWN = """
import sys
from scratchvae.cli.run_folder import Run
from scratchvae.__main__ import main
Run.draw = lambda *_: []
sys.exit(main())
"""
SECONDS = 300                       # a process that takes longer hangs
ODD = (None, "", "nonsense", "-1", "0", "1e400", "/dev/null", "~", "~/x", "relative", "\u00fc \udcff")    # None: unset
VALUES = {                          # variable: values besides those of ODD
    "SCRATCHVAE_BACKEND": ("numpy", "NUMBA"), "SCRATCHVAE_CACHE": ("~", "/proc/nothing"), "SCRATCHVAE_DATA": (),
    "NUMBA_NUM_THREADS": ("1", "999999"), "NUMBA_THREADING_LAYER": ("tbb", "omp", "workqueue", "safe"),
    "NUMBA_THREADING_LAYER_PRIORITY": ("workqueue omp tbb", "omp"), "NUMBA_CACHE_DIR": ("~", "relative"),
    "NUMBA_DISABLE_JIT": ("1",), "NUMBA_OPT": ("9", "max"), "NUMBA_CPU_NAME": ("generic",), "NUMBA_CPU_FEATURES": (),
    "NUMBA_BOUNDSCHECK": ("1",), "NUMBA_WARNINGS": ("1",), "NUMBA_DEVELOPER_MODE": ("1",),
    "NUMBA_CAPTURED_ERRORS": ("old_style",), "NUMBA_COLOR_SCHEME": ("light_bg",), "NUMBA_DEBUG_CACHE": ("1",),
    "OMP_NUM_THREADS": ("1", "3"), "OMP_WAIT_POLICY": ("active", "passive"), "OMP_STACKSIZE": ("1", "64k", "1g"),
    "OMP_DYNAMIC": ("true",), "OMP_PROC_BIND": ("true", "close"), "OMP_THREAD_LIMIT": ("1",),
    "GOMP_SPINCOUNT": ("infinite",), "GOMP_CPU_AFFINITY": ("0", "0-99"), "OPENBLAS_NUM_THREADS": ("1", "3"),
    "MPLBACKEND": ("svg", "pdf", "TkAgg"), "MPLCONFIGDIR": (),
    "PYTHONOPTIMIZE": ("1", "2"), "PYTHONUTF8": ("1",), "PYTHONWARNINGS": ("error", "ignore"), "PYTHONDEVMODE": ("1",),
    "PYTHONHASHSEED": ("1",), "PYTHONIOENCODING": ("ascii", "utf-16", "cp1252:strict"), "PYTHONUNBUFFERED": ("1",),
    "PYTHONDONTWRITEBYTECODE": ("1",), "LC_ALL": ("C", "POSIX", "tr_TR.UTF-8"), "LANG": ("C",),
    "HOME": (None, "~", "relative", "/nowhere"), "XDG_CACHE_HOME": ("~", "relative"),
    "TMPDIR": ("/nowhere",), "COLUMNS": ("1", "20", "9" * 30), "LINES": (), "TERM": ("dumb",), "NO_COLOR": ("1",),
    "SOURCE_DATE_EPOCH": ("1",)}
# With these Python itself does not start, and matplotlib itself makes a folder called ~.
NOT_OURS = {"PYTHONUTF8": ODD[2:4] + ODD[5:], "PYTHONHASHSEED": ODD[2:4] + ODD[5:], "PYTHONIOENCODING": ODD[2:],
            "MPLCONFIGDIR": ("~", "~/x")}
# Other code computes the same to rounding; all others must not change a bit.
OTHER_CODE = ("SCRATCHVAE_BACKEND", "NUMBA_DISABLE_JIT", "NUMBA_OPT", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES",
              "NUMBA_BOUNDSCHECK")
PLACES = ("SCRATCHVAE_CACHE", "NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME")          # where compiled kernels are kept


def cases(full):
    """Yield (variable, value): its own values, of ODD four or one for each in turn, and the plain environment last.

    Where compiled kernels are kept a value costs their compilation, so these variables have their own values alone.
    """
    turn = itertools.cycle(ODD)
    for variable, values in VALUES.items():
        odd = () if variable in PLACES else itertools.islice(turn, 4 if full else 1)
        left_out = NOT_OURS.get(variable, ())
        yield from ((variable, value) for value in dict.fromkeys((*values, *odd)) if value not in left_out)
    yield "PLAIN", None


def trained(place, cache, variable, value):
    """Train in the folder `place`; return (status, standard error), the status None for a process that hangs.

    Drawing takes longer than all the rest, so a run without figures goes first; the command itself runs where that
    one fails, and where matplotlib reads the variable.
    """
    place.mkdir()
    environment = {**os.environ, "SCRATCHVAE_CACHE": str(cache)}
    if variable in PLACES:
        del environment["SCRATCHVAE_CACHE"]
    environment.pop(variable, None)
    if value is not None:
        environment[variable] = value
    whole = train_command(*SETTINGS, "--out", "run")
    for words in [whole] if variable.startswith("MPL") else [[sys.executable, "-c", UNDRAWN, *whole[3:]], whole]:
        try:
            done = subprocess.run(words, cwd=place, env=environment, check=False, capture_output=True,
                                  stdin=subprocess.DEVNULL, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return None, ""
        if done.returncode == 0:
            break
    return done.returncode, done.stderr.decode(errors="replace")


def outcome(place, status, said, wanted, exact):
    """Say what came of it: "trained", "refused", or a fault."""
    if status is None or "Traceback" in said or any(path.name.startswith("~") for path in place.iterdir()):
        return "a hang, a traceback or a folder called ~"
    if status == 2 and said.count("\n") == 1 and not (place / "run").exists():
        return "refused"
    if status:
        return f"status {status}"
    got = arrays_of(place / "run")
    near = got.keys() == wanted.keys() and all(np.allclose(got[key], wanted[key], 1e-2, 1e-3) for key in wanted)
    return "trained" if same(got, wanted) or near and not exact else "other bits"


def run(folder, full):
    """The trial: each environment in turn, and the plain one at the end, whose kernels nobody may have changed."""
    cache, counts, faults = folder / "cache", {"trained": 0, "refused": 0}, []
    status, said = trained(folder / "first", cache, "PLAIN", None)
    if status:
        return Verdict("odd environments", said[-300:], "no failure", False, {})
    wanted = arrays_of(folder / "first" / "run")
    for number, (variable, value) in enumerate(cases(full)):
        place = Path(folder, str(number))
        status, said = trained(place, cache, variable, value)
        found = outcome(place, status, said, wanted, variable not in OTHER_CODE)
        counts[found] = counts.get(found, 0) + 1
        if found not in ("trained", "refused"):
            faults.append(f"{variable}={value!a}: {found}; {said[-300:]}")
    return Verdict("odd environments", f"{sum(counts.values())} values of {len(VALUES)} variables: {counts['trained']} "
                   f"train to the same bits, {counts['refused']} are refused in one line, {len(faults)} faults",
                   "0 faults", not faults, {**counts, "faults": faults})
