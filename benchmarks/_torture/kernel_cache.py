"""Randomly damaged copies of compiled kernels: none is loaded, and a process that meets some compiles them again."""
import hashlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

from scratchvae import VAE
from scratchvae.kernels import cache
from scratchvae.kernels.twins import TWINS

from .damage import damaged
from .verdict import Verdict

TRAIN = """
import hashlib
import numpy as np
from scratchvae import VAE
model = VAE(8, 2, hidden=(4,))
model.fit(np.random.default_rng(0).random((20, 8)), epochs=1, batch_size=5)
print(hashlib.sha256(model.parameters.flat.tobytes()).hexdigest())
"""


def train():
    """Train in this process as TRAIN does; return the digest of the parameters."""
    model = VAE(8, 2, hidden=(4,))
    model.fit(np.random.default_rng(0).random((20, 8)), epochs=1, batch_size=5)
    return hashlib.sha256(model.parameters.flat.tobytes()).hexdigest()


def compiled_kernels():
    """Yield (cache of a kernel, signature, context, file) for all that this process has compiled and kept."""
    for name, twin in TWINS.items():
        kernel = twin.compiled
        for signature in kernel.overloads:
            context = kernel.targetctx
            path = cache.FOLDER / kernel._cache._name(signature, context.codegen())
            if path.exists():
                yield kernel._cache, signature, context, path


def load_copies(copies, rng):
    """Load damaged copies, the kernels in turn; return the counts of what came of them."""
    kernels = list(compiled_kernels())
    found = {"kernels": len(kernels), "copies": copies, "refused": 0, "unchanged": 0, "wrong": 0, "escaped": 0,
             "faults": []}
    for number in range(copies):
        store, signature, context, path = kernels[number % len(kernels)]
        content = path.read_bytes()
        copy = damaged(content, rng)
        path.write_bytes(copy)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                loaded = store.load_overload(signature, context)
            outcome = "refused" if loaded is None else "unchanged" if copy == content else "wrong"
        except Exception as error:              # the very thing that is looked for
            outcome = "escaped"
            found["faults"].append(f"{path.name}, copy {number}: {type(error).__name__}: {error}")
        found[outcome] += 1
        path.write_bytes(content)
    return found


def run_processes(processes, rng, wanted):
    """Train in processes that find every kernel damaged; count those that say it once and give the same bits."""
    good = 0
    for _ in range(processes):
        for *_, path in list(compiled_kernels()):
            path.write_bytes(damaged(path.read_bytes(), rng) + b"0")
        done = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True, check=False)
        said = done.stderr.count("RuntimeWarning: the kernel cache")
        good += done.returncode == 0 and done.stdout.strip() == wanted and said == 1 and "Traceback" not in done.stderr
    return good


def run(folder, copies, processes):
    """The trial, in a process of its own, which finds the cache in `folder`."""
    words = [sys.executable, "-m", "_torture.kernel_cache", str(copies), str(processes)]
    done = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False,
                          env={**os.environ, "SCRATCHVAE_CACHE": str(folder)})
    if done.returncode:
        return Verdict("damaged kernels", done.stderr[-300:], "no failure", False, {})
    figures = json.loads(done.stdout)
    ok = figures["wrong"] == figures["escaped"] == 0 and figures["good"] == processes
    return Verdict("damaged kernels", f"{figures['refused']} of {copies - figures['unchanged']} copies refused, "
                   f"{figures['good']} of {processes} processes that found them train to the same bits after one "
                   "warning", "all", ok, figures)


def main():
    """Print the figures of one trial."""
    copies, processes = map(int, sys.argv[1:])
    rng, wanted = np.random.default_rng(0), train()
    figures = load_copies(copies, rng)
    print(json.dumps({**figures, "good": run_processes(processes, rng, wanted)}))


if __name__ == "__main__":
    main()
