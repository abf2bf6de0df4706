"""From a shell prompt to a held-out loss of 106.66 on MNIST: imports, data and training, each in a process of its own.

    python benchmarks/time_to_target.py --mnist FOLDER [--only NAME ...] [--runs 3] [--json FILE]

The model is that of pytorch/examples (784-400-20, relu, gray pixels, batches of 128, Adam 1e-3), whose published loss
after 7 epochs is the target.  After each epoch a process computes the mean loss of the 10,000 test images with sampled
latents, and it ends when that has reached the target.  FOLDER holds MNIST's four files as they are distributed.
"""
import argparse
import gzip
import json
import math
import os
import subprocess
import sys
import time

import numpy as np

TARGET, MOST_EPOCHS, BATCH = 106.66, 40, 128
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()       # as Numba counts
CONFIG = dict(hidden=[400], latent=20, activation="relu", batch=BATCH, dtype="float32", samples=1, threads=CORES)


def images(folder, name):
    """Return (n, 784) float32 in 0..1."""
    with gzip.open(f"{folder}/{name}-images-idx3-ubyte.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784).astype(np.float32) / 255


def scratchvae(folder, seed):
    """This package, by its documented calls."""
    from scratchvae import load_data, VAE
    data = load_data(folder)
    VAE(784, 20, hidden=(400,), seed=seed).fit(
        data.train, epochs=MOST_EPOCHS, validation=data.test, seed=seed,
        callback=lambda model, epoch: report(epoch.epoch, epoch.test_loss))


def report(epoch, loss):
    """Print the epoch; return whether the target is reached."""
    print(json.dumps({"epochs": epoch, "loss": loss}), flush=True)
    return bool(loss <= TARGET)


def torch_model(kind, seed):
    """Return the contestant of train_step.py, with its own network, loss and optimizer."""
    import contestants
    made = contestants.CONTESTANTS[kind](CONFIG)
    made.torch.manual_seed(seed)
    return made


def torch_loader(folder, seed):
    """PyTorch with a Dataset and a DataLoader, as its example trains: images are converted one at a time."""
    vae = torch_model("torch eager", seed)
    torch = vae.torch

    class Mnist(torch.utils.data.Dataset):
        def __init__(self, name):
            self.pixels = torch.from_numpy((images(folder, name) * 255).round().astype(np.uint8))

        def __len__(self):
            return len(self.pixels)

        def __getitem__(self, i):
            return self.pixels[i].float().div(255)

    train, test = (torch.utils.data.DataLoader(Mnist(name), BATCH, shuffle=name == "train")
                   for name in ("train", "t10k"))
    for epoch in range(1, MOST_EPOCHS + 1):
        for x in train:
            vae.optimizer.zero_grad()
            vae.loss_of(vae.net, x).backward()
            vae.optimizer.step()
        with torch.no_grad():
            loss = sum(len(x) * vae.loss_of(vae.net, x).item() for x in test) / len(test.dataset)
        if report(epoch, loss):
            return


def torch_fused(folder, seed):
    """PyTorch's fastest loop: all images in one tensor, batches by index, the loss from logits, fused Adam."""
    vae = torch_model("torch fused", seed)
    torch = vae.torch
    train, test = (torch.from_numpy(images(folder, name)) for name in ("train", "t10k"))
    for epoch in range(1, MOST_EPOCHS + 1):
        for index in torch.randperm(len(train)).split(BATCH):
            vae.optimizer.zero_grad()
            vae.loss_of(vae.net, train[index]).backward()
            vae.optimizer.step()
        with torch.no_grad():
            loss = sum(len(x) * vae.loss_of(vae.net, x).item() for x in test.split(500)) / len(test)
        if report(epoch, loss):
            return


def jax_donated(folder, seed):
    """JAX's fastest loop: an epoch is one lax.scan under one jit, its state donated, with the fastest noise."""
    import contestants
    made = contestants.CONTESTANTS["jax donated"](CONFIG)
    jax, jnp = made.jax, made.jax.numpy
    train, test = (jnp.asarray(images(folder, name)) for name in ("train", "t10k"))
    steps = len(train) // BATCH

    def epoch_of(state, data, test, key, first):
        order = jax.random.permutation(key, len(data))[:steps * BATCH].reshape(steps, BATCH)

        def step(state, given):
            i, index = given
            eps = jax.random.normal(jax.random.fold_in(key, i), (BATCH, 20))
            return made.update(i, jax.grad(made.loss_of)(made.get_params(state), data[index], eps), state), None
        state, _ = jax.lax.scan(step, state, (first + jnp.arange(steps), order))
        return state, made.loss_of(made.get_params(state), test, jax.random.normal(key, (len(test), 20)))

    run = jax.jit(epoch_of, donate_argnums=0)
    state = made.state
    for epoch in range(1, MOST_EPOCHS + 1):
        state, loss = run(state, train, test, jax.random.PRNGKey(1000 * seed + epoch), (epoch - 1) * steps)
        if report(epoch, float(loss)):
            return


WAYS = {"scratchvae": scratchvae, "torch loader": torch_loader, "torch fused": torch_fused, "jax donated": jax_donated}


def main():
    """Run every way in turn, or be one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", required=True, metavar="FOLDER", help="where MNIST's files lie")
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS), help="the ways to time")
    parser.add_argument("--runs", type=int, default=3, help="processes a way, each with another seed")
    parser.add_argument("--json", metavar="FILE", help="write all rows there")
    parser.add_argument("--one", type=int, metavar="SEED", help="be the process of one way")
    options = parser.parse_args()
    if options.one is not None:
        WAYS[options.only[0]](options.mnist, options.one)
        return
    rows = []
    for name in options.only:
        runs = []
        for seed in range(options.runs):
            start = time.perf_counter()
            one = [sys.executable, __file__, "--mnist", options.mnist, "--only", name, "--one", str(seed)]
            found = subprocess.run(one, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
            runs.append({"seconds": time.perf_counter() - start} | json.loads(found[-1]))
        row = {"name": name, "seconds": float(np.median([run["seconds"] for run in runs])), "runs": runs}
        reached = all(run["loss"] <= TARGET for run in runs) or math.nan
        said = [(round(run["seconds"], 2), run["epochs"]) for run in runs]
        print(f"{name:14s} {row['seconds'] * reached:6.2f} s; seconds and epochs of each run {said}", flush=True)
        rows.append(row)
    if options.json:
        from _harness import report as write
        from _harness import with_earlier
        rows = with_earlier(rows, options.json, "name")
        write(rows, {row["name"]: row["seconds"] for row in rows}, options.json)


if __name__ == "__main__":
    main()
