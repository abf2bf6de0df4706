"""Small stacks: of the process, which the threads of kernels get too, and of the Python thread that trains."""
import hashlib
import itertools
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from scratchvae import VAE

from .verdict import Verdict

OF_PROCESS = ("512", "1024", "unlimited")                   # `ulimit -s`, kB
OF_THREAD = ("256", "1024")                                 # threading.stack_size, kB


def train():
    """Train a model whose products share their work; return the digest of the parameters."""
    X = np.random.default_rng(0).random((256, 784), np.float32)
    model = VAE(784, 10, hidden=(200,)).fit(X, epochs=2, batch_size=128)
    return hashlib.sha256(model.parameters.flat.tobytes()).hexdigest()


def digests(of_process, of_thread):
    """Return what a process with these stacks prints: the digest in its first thread, and in one of its own."""
    words = ["sh", "-c", f'ulimit -s {of_process} && exec "$@"', "sh", sys.executable, "-m", "_torture.stacks",
             of_thread]
    done = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else [f"status {done.returncode}: {done.stderr[-200:]}"]


def run():
    """The trial: all sizes with each other."""
    wanted, faults, tried = train(), [], 0
    for of_process, of_thread in itertools.product(OF_PROCESS, OF_THREAD):
        tried += 1
        found = digests(of_process, of_thread)
        if found != [wanted, wanted]:
            faults.append(f"{of_process} {of_thread}: {found}")
    return Verdict("small stacks", f"{tried - len(faults)} of {tried} give the bits of the undisturbed run", str(tried),
                   not faults, {"tried": tried, "faults": faults})


def main():
    """Train in the first thread, which compiles or loads the kernels, then in a thread of the stack that is named."""
    found = [train()]
    threading.stack_size(1024 * int(sys.argv[1]))
    thread = threading.Thread(target=lambda: found.append(train()))
    thread.start()
    thread.join()
    print(*found)


if __name__ == "__main__":
    main()
