"""One training step of the same VAE, by scratchvae and by its peers: as each framework's examples write it, and faster.

`python benchmarks/contestants.py NAME CONFIG` is a worker process: it answers each line of standard input with
one line of JSON.  "check PATH" gives the loss and gradient at given parameters, data and noise; "steps N" takes
N training steps and gives the seconds; "evaluate PATH" gives the log-likelihood of EVALUATED given examples by
IMPORTANCE samples, and the seconds.  CONFIG is JSON: hidden, latent, activation, batch, threads, dtype, and samples
(K of IWAE, or 1 for the ELBO).
"""
import json
import math
import sys
import time

import numpy as np

EVALUATED, IMPORTANCE = 16, 5000
N_VISIBLE, ROWS = 784, 4096


def training_data(dtype):
    """Gray pixels, mostly dark like a digit's: the arithmetic of a step does not depend on their values."""
    return (np.random.default_rng(0).random((ROWS, N_VISIBLE)) ** 4).astype(dtype)


def sizes(config):
    """(encoder sizes, decoder sizes), input first; the encoder ends in [mu | logvar]."""
    hidden = config["hidden"]
    return ((N_VISIBLE, *hidden, 2 * config["latent"]), (config["latent"], *hidden[::-1], N_VISIBLE))


def segment_names(config):
    """Names of the (W, b) pairs in scratchvae's order."""
    names = []
    for prefix, units in zip(("encoder", "decoder"), sizes(config)):
        last = len(units) - 2
        names += [f"{prefix}.{'head' if i == last else i}" for i in range(last + 1)]
    return names


class ScratchVAE:
    """This package: gather, noise, forward, backward, Adam, as its own trainer runs them."""

    def __init__(self, config):
        from scratchvae import evaluate, VAE
        from scratchvae.data.minibatch import epoch_permutation
        from scratchvae.kernels.threads import set_threads
        from scratchvae.training import Trainer
        set_threads(config["threads"])
        self.vae = VAE(N_VISIBLE, config["latent"], hidden=config["hidden"], activation=config["activation"],
                       dtype=config["dtype"], n_samples=config["samples"],
                       estimator="analytic" if config["samples"] == 1 else "iwae")
        self.trainer = Trainer(self.vae, training_data(config["dtype"]), batch_size=config["batch"])
        self.order, self.measure = epoch_permutation(ROWS, 0, 0), evaluate

    def load(self, given):
        for name, view in self.vae.parameters.segments():
            view[:] = given[name]

    def check(self, given):
        before = self.vae.parameters.flat.copy()
        self.load(given)
        objective, gradient = self.vae.gradient(given["x"], given["eps"])
        self.vae.parameters.flat[:] = before
        return objective.loss, dict(gradient.segments())

    def steps(self, n):
        trainer = self.trainer
        for _ in range(n):
            if trainer.state.batch == ROWS // trainer.batch_size:
                trainer.state.batch = 0
            trainer.step(self.order)

    def evaluate(self, x):
        return self.measure(self.vae, x, importance_samples=IMPORTANCE).log_likelihood


class TorchVAE:
    """PyTorch as in pytorch/examples' vae/main.py: nn.Linear, F.binary_cross_entropy, optim.Adam."""

    compiled = fused = False

    def __init__(self, config):
        import torch
        from torch import nn
        torch.set_num_threads(config["threads"])
        torch.set_default_dtype(getattr(torch, config["dtype"]))
        torch.manual_seed(0)
        self.torch, self.batch = torch, config["batch"]
        act = {"relu": nn.ReLU, "tanh": nn.Tanh}[config["activation"]]
        latent, samples, fused = config["latent"], config["samples"], self.fused

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                encoder, decoder = sizes(config)
                self.encoder, self.decoder = (nn.Sequential(*self.stack(units)) for units in (encoder, decoder))

            @staticmethod
            def stack(units):
                layers = []
                for n_in, n_out in zip(units, units[1:]):
                    layers += [nn.Linear(n_in, n_out), act()]
                return layers[:-1]

        def log_weights(net, x, samples, eps=None):
            mu, logvar = net.encoder(x).unsqueeze(1).split(latent, dim=2)
            eps = torch.randn(len(x), samples, latent) if eps is None else eps
            z = mu + torch.exp(0.5 * logvar) * eps
            nll = nn.functional.binary_cross_entropy_with_logits(
                net.decoder(z), x.unsqueeze(1).expand(-1, samples, -1), reduction="none").sum(2)
            return -nll - 0.5 * (z * z - eps * eps - logvar).sum(2)

        def loss_of(net, x, eps=None):
            if samples > 1:
                return (math.log(samples) - torch.logsumexp(log_weights(net, x, samples, eps), 1)).mean()
            mu, logvar = net.encoder(x).split(latent, dim=1)
            logits = net.decoder(mu + torch.exp(0.5 * logvar) * (torch.randn_like(mu) if eps is None else eps))
            bce = (nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum") if fused else
                   nn.functional.binary_cross_entropy(torch.sigmoid(logits), x, reduction="sum"))
            return (bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())) / len(x)

        self.net = Net()
        self.loss_of = torch.compile(loss_of) if self.compiled else loss_of
        self.log_weights = torch.compile(log_weights) if self.compiled else log_weights
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=self.fused or None)
        self.data, self.at = torch.from_numpy(training_data(config["dtype"])), 0

    def linears(self):
        return [layer for part in (self.net.encoder, self.net.decoder) for layer in part
                if isinstance(layer, self.torch.nn.Linear)]

    def load(self, given):
        with self.torch.no_grad():
            for name, layer in zip(given["names"], self.linears()):
                layer.weight.copy_(self.torch.from_numpy(given[f"{name}.W"].T))
                layer.bias.copy_(self.torch.from_numpy(given[f"{name}.b"]))

    def check(self, given):
        torch = self.torch
        before = [p.detach().clone() for p in self.net.parameters()]
        self.load(given)
        self.optimizer.zero_grad()
        loss = self.loss_of(self.net, torch.from_numpy(given["x"]), torch.from_numpy(given["eps"]))
        loss.backward()
        gradient = {}
        for name, layer in zip(given["names"], self.linears()):
            gradient[f"{name}.W"], gradient[f"{name}.b"] = layer.weight.grad.numpy().T, layer.bias.grad.numpy()
        with torch.no_grad():
            for p, old in zip(self.net.parameters(), before):
                p.copy_(old)
        return loss.item(), gradient

    def steps(self, n):
        for _ in range(n):
            x = self.data[self.at:self.at + self.batch]
            self.at = (self.at + self.batch) % (ROWS - self.batch)
            self.optimizer.zero_grad()
            loss = self.loss_of(self.net, x)
            loss.backward()
            self.optimizer.step()

    def evaluate(self, x):
        with self.torch.inference_mode():
            bounds = [self.torch.logsumexp(self.log_weights(self.net, row[None], IMPORTANCE), 1)
                      for row in self.torch.from_numpy(x)]
            return self.torch.cat(bounds).mean().item() - math.log(IMPORTANCE)


class TorchCompiledVAE(TorchVAE):
    """The same, loss and network under torch.compile."""

    compiled = True


class TorchFusedVAE(TorchVAE):
    """PyTorch's fastest eager loop: the loss from logits, Adam in one fused kernel (fused=True)."""

    fused = True


class TorchFusedCompiledVAE(TorchFusedVAE):
    """The same, loss and network under torch.compile."""

    compiled = True


class JaxVAE:
    """JAX in the manner of its own examples/mnist_vae.py: value_and_grad and optimizers.adam under one jit a step."""

    scan = donated = False

    def __init__(self, config):
        import jax
        import jax.numpy as jnp
        from jax.example_libraries import optimizers
        jax.config.update("jax_enable_x64", config["dtype"] == "float64")
        if self.donated:
            jax.config.update("jax_default_prng_impl", "unsafe_rbg")
        self.jax, self.batch, self.names = jax, config["batch"], segment_names(config)
        act = {"relu": jax.nn.relu, "tanh": jnp.tanh}[config["activation"]]
        latent, batch, samples, dtype = config["latent"], config["batch"], config["samples"], config["dtype"]
        n_encoder = len(config["hidden"]) + 1

        def network(params, x):
            for W, b in params[:-1]:
                x = act(x @ W + b)
            W, b = params[-1]
            return x @ W + b

        def log_weights(params, x, eps):
            mu, logvar = jnp.split(network(params[:n_encoder], x)[:, None], 2, axis=2)
            z = mu + jnp.exp(0.5 * logvar) * eps
            logits = network(params[n_encoder:], z)
            nll = jnp.sum(jnp.logaddexp(0.0, logits) - x[:, None] * logits, axis=2)
            return -nll - 0.5 * jnp.sum(z**2 - eps**2 - logvar, axis=2)

        def loss_of(params, x, eps):
            if samples > 1:
                return jnp.mean(math.log(samples) - jax.nn.logsumexp(log_weights(params, x, eps), axis=1))
            head = network(params[:n_encoder], x)
            mu, logvar = head[:, :latent], head[:, latent:]
            logits = network(params[n_encoder:], mu + jnp.exp(0.5 * logvar) * eps)
            nll = jnp.sum(jnp.logaddexp(0.0, logits) - x * logits)
            return (nll - 0.5 * jnp.sum(1 + logvar - mu**2 - jnp.exp(logvar))) / len(x)

        init, update, self.get_params = optimizers.adam(1e-3)
        self.loss_of, self.update = loss_of, update
        self.value_and_grad = jax.jit(jax.value_and_grad(loss_of))
        shape = (batch, samples, latent) if samples > 1 else (batch, latent)

        def step(i, state, data, key):
            x = jax.lax.dynamic_slice_in_dim(data, (i * batch) % (ROWS - batch), batch)
            eps = jax.random.normal(jax.random.fold_in(key, i), shape, dtype)
            return update(i, jax.grad(loss_of)(self.get_params(state), x, eps), state)

        def steps(start, n, state, data, key):
            return jax.lax.fori_loop(start, start + n, lambda i, s: step(i, s, data, key), state)

        def donated_steps(start, n, state, data, key):
            return jax.lax.scan(lambda s, i: (step(i, s, data, key), None), state, start + jnp.arange(n))[0]

        def bound(params, x, key):
            def one(row):
                eps = jax.random.normal(key, (1, IMPORTANCE, latent), dtype)
                return jax.nn.logsumexp(log_weights(params, row[None], eps)) - math.log(IMPORTANCE)
            return jnp.mean(jax.lax.map(one, x))

        self.bound = jax.jit(bound)
        self.one = jax.jit(step)
        self.many = jax.jit(donated_steps, static_argnums=1, donate_argnums=2) if self.donated else jax.jit(steps)
        rng = np.random.default_rng(0)
        params = [(jnp.asarray(rng.standard_normal((a, b)) * np.sqrt(1 / a), dtype), jnp.zeros(b, dtype))
                  for units in sizes(config) for a, b in zip(units, units[1:])]
        self.state, self.done = init(params), 0
        self.data, self.key = jnp.asarray(training_data(dtype)), jax.random.PRNGKey(0)

    def check(self, given):
        self.given = [(given[f"{name}.W"], given[f"{name}.b"]) for name in given["names"]]
        loss, gradient = self.value_and_grad(self.given, given["x"], given["eps"])
        flat = {}
        for name, (W, b) in zip(given["names"], gradient):
            flat[f"{name}.W"], flat[f"{name}.b"] = np.asarray(W), np.asarray(b)
        return float(loss), flat

    def load(self, given):
        self.given = [(given[f"{name}.W"], given[f"{name}.b"]) for name in given["names"]]

    def steps(self, n):
        if self.scan:
            self.state = self.many(self.done, n, self.state, self.data, self.key)
        else:
            for i in range(n):
                self.state = self.one(self.done + i, self.state, self.data, self.key)
        self.done += n
        self.jax.block_until_ready(self.state)

    def evaluate(self, x):
        return float(self.bound(self.given, x, self.key))


class JaxScanVAE(JaxVAE):
    """The same with the loop over steps inside the jit, as the example's run_epoch does."""

    scan = True


class JaxDonatedVAE(JaxScanVAE):
    """JAX's fastest loop: lax.scan over the steps, the state donated, the fastest generator of noise (unsafe_rbg)."""

    donated = True


CONTESTANTS = {"scratchvae": ScratchVAE, "torch eager": TorchVAE, "torch compiled": TorchCompiledVAE,
               "torch fused": TorchFusedVAE, "torch fused compiled": TorchFusedCompiledVAE,
               "jax jit": JaxVAE, "jax scan": JaxScanVAE, "jax donated": JaxDonatedVAE}


def work(name, config):
    """Answer requests until standard input ends."""
    contestant = CONTESTANTS[name](config)
    for request in sys.stdin:
        word, argument = request.split(maxsplit=1)
        if word != "steps":
            with np.load(argument.strip()) as stored:
                given = {key: stored[key].astype(config["dtype"]) for key in stored.files}
            given["names"] = segment_names(config)
        if word == "check":
            loss, gradient = contestant.check(given)
            answer = {"loss": loss, "gradient": {key: float(np.linalg.norm(value - given["d " + key])
                                                            / np.linalg.norm(given["d " + key]))
                                                 for key, value in gradient.items()}}
        elif word == "evaluate":
            contestant.load(given)
            x = (given["x"][:EVALUATED] > 0.5).astype(config["dtype"])
            start = time.perf_counter()
            answer = {"log_likelihood": contestant.evaluate(x), "seconds": time.perf_counter() - start}
        else:
            start = time.perf_counter()
            contestant.steps(int(argument))
            answer = {"seconds": time.perf_counter() - start}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    settings = json.loads(sys.argv[2])
    work(sys.argv[1], settings)
