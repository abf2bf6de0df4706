"""One training step of the same VAE, by scratchvae and by its peers, each as its own framework's examples write it.

`python benchmarks/contestants.py NAME CONFIG` is a worker process: it answers each line of standard input with
one line of JSON.  "check PATH" gives the loss and gradient at given parameters, data and noise; "steps N" takes
N training steps and gives the seconds.  CONFIG is JSON: hidden, latent, activation, batch, threads.
"""
import json
import sys
import time

import numpy as np

N_VISIBLE, ROWS = 784, 4096


def training_data():
    """Gray pixels, mostly dark like a digit's: the arithmetic of a step does not depend on their values."""
    return (np.random.default_rng(0).random((ROWS, N_VISIBLE)) ** 4).astype(np.float32)


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
        from scratchvae import VAE
        from scratchvae.data.minibatch import epoch_permutation
        from scratchvae.kernels.threads import set_threads
        from scratchvae.training import Trainer
        set_threads(config["threads"])
        self.vae = VAE(N_VISIBLE, config["latent"], hidden=config["hidden"], activation=config["activation"])
        self.trainer = Trainer(self.vae, training_data(), batch_size=config["batch"])
        self.order = epoch_permutation(ROWS, 0, 0)

    def check(self, given):
        before = self.vae.parameters.flat.copy()
        for name, view in self.vae.parameters.segments():
            view[:] = given[name]
        objective, gradient = self.vae.gradient(given["x"], given["eps"])
        self.vae.parameters.flat[:] = before
        return objective.loss, dict(gradient.segments())

    def steps(self, n):
        trainer = self.trainer
        for _ in range(n):
            if trainer.state.batch == ROWS // trainer.batch_size:
                trainer.state.batch = 0
            trainer.step(self.order)


class TorchVAE:
    """PyTorch as in pytorch/examples' vae/main.py: nn.Linear, F.binary_cross_entropy, optim.Adam."""

    compiled = False

    def __init__(self, config):
        import torch
        from torch import nn
        torch.set_num_threads(config["threads"])
        torch.manual_seed(0)
        self.torch, self.batch = torch, config["batch"]
        act = {"relu": nn.ReLU, "tanh": nn.Tanh}[config["activation"]]
        latent = config["latent"]

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                encoder, decoder = sizes(config)
                self.encoder = nn.Sequential(*self.stack(encoder))
                self.decoder = nn.Sequential(*self.stack(decoder), nn.Sigmoid())

            @staticmethod
            def stack(units):
                layers = []
                for n_in, n_out in zip(units, units[1:]):
                    layers += [nn.Linear(n_in, n_out), act()]
                return layers[:-1]

            def forward(self, x, eps):
                mu, logvar = self.encoder(x).split(latent, dim=1)
                z = mu + torch.exp(0.5 * logvar) * (torch.randn_like(mu) if eps is None else eps)
                return self.decoder(z), mu, logvar

        def loss_of(net, x, eps=None):
            reconstruction, mu, logvar = net(x, eps)
            bce = nn.functional.binary_cross_entropy(reconstruction, x, reduction="sum")
            return (bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())) / len(x)

        self.net = Net()
        self.loss_of = torch.compile(loss_of) if self.compiled else loss_of
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3)
        self.data, self.at = torch.from_numpy(training_data()), 0

    def linears(self):
        return [layer for part in (self.net.encoder, self.net.decoder) for layer in part
                if isinstance(layer, self.torch.nn.Linear)]

    def check(self, given):
        torch = self.torch
        before = [p.detach().clone() for p in self.net.parameters()]
        with torch.no_grad():
            for name, layer in zip(given["names"], self.linears()):
                layer.weight.copy_(torch.from_numpy(given[f"{name}.W"].T))
                layer.bias.copy_(torch.from_numpy(given[f"{name}.b"]))
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


class TorchCompiledVAE(TorchVAE):
    """The same, loss and network under torch.compile."""

    compiled = True


class JaxVAE:
    """JAX in the manner of its own examples/mnist_vae.py: value_and_grad and optimizers.adam under one jit a step."""

    scan = False

    def __init__(self, config):
        import jax
        import jax.numpy as jnp
        from jax.example_libraries import optimizers
        self.jax, self.batch, self.names = jax, config["batch"], segment_names(config)
        act = {"relu": jax.nn.relu, "tanh": jnp.tanh}[config["activation"]]
        latent, batch = config["latent"], config["batch"]
        n_encoder = len(config["hidden"]) + 1

        def network(params, x):
            for W, b in params[:-1]:
                x = act(x @ W + b)
            W, b = params[-1]
            return x @ W + b

        def loss_of(params, x, eps):
            head = network(params[:n_encoder], x)
            mu, logvar = head[:, :latent], head[:, latent:]
            logits = network(params[n_encoder:], mu + jnp.exp(0.5 * logvar) * eps)
            nll = jnp.sum(jnp.logaddexp(0.0, logits) - x * logits)
            return (nll - 0.5 * jnp.sum(1 + logvar - mu**2 - jnp.exp(logvar))) / len(x)

        init, update, get_params = optimizers.adam(1e-3)
        self.value_and_grad = jax.jit(jax.value_and_grad(loss_of))

        def step(i, state, data, key):
            x = jax.lax.dynamic_slice_in_dim(data, (i * batch) % (ROWS - batch), batch)
            eps = jax.random.normal(jax.random.fold_in(key, i), (batch, latent))
            return update(i, jax.grad(loss_of)(get_params(state), x, eps), state)

        def steps(start, n, state, data, key):
            return jax.lax.fori_loop(start, start + n, lambda i, s: step(i, s, data, key), state)

        self.one, self.many = jax.jit(step), jax.jit(steps)
        rng = np.random.default_rng(0)
        params = [(jnp.asarray(rng.standard_normal((a, b)) * np.sqrt(1 / a), jnp.float32), jnp.zeros(b))
                  for units in sizes(config) for a, b in zip(units, units[1:])]
        self.state, self.done = init(params), 0
        self.data, self.key = jnp.asarray(training_data()), jax.random.PRNGKey(0)

    def check(self, given):
        params = [(given[f"{name}.W"], given[f"{name}.b"]) for name in given["names"]]
        loss, gradient = self.value_and_grad(params, given["x"], given["eps"])
        flat = {}
        for name, (W, b) in zip(given["names"], gradient):
            flat[f"{name}.W"], flat[f"{name}.b"] = np.asarray(W), np.asarray(b)
        return float(loss), flat

    def steps(self, n):
        if self.scan:
            self.state = self.many(self.done, n, self.state, self.data, self.key)
        else:
            for i in range(n):
                self.state = self.one(self.done + i, self.state, self.data, self.key)
        self.done += n
        self.jax.block_until_ready(self.state)


class JaxScanVAE(JaxVAE):
    """The same with the loop over steps inside the jit, as the example's run_epoch does."""

    scan = True


CONTESTANTS = {"scratchvae": ScratchVAE, "torch eager": TorchVAE, "torch compiled": TorchCompiledVAE,
               "jax jit": JaxVAE, "jax scan": JaxScanVAE}


def work(name, config):
    """Answer requests until standard input ends."""
    contestant = CONTESTANTS[name](config)
    for request in sys.stdin:
        word, argument = request.split(maxsplit=1)
        if word == "check":
            with np.load(argument.strip()) as stored:
                given = {key: stored[key] for key in stored.files}
            given["names"] = segment_names(config)
            loss, gradient = contestant.check(given)
            answer = {"loss": loss, "gradient": {key: float(np.linalg.norm(value - given["d " + key])
                                                            / np.linalg.norm(given["d " + key]))
                                                 for key, value in gradient.items()}}
        else:
            start = time.perf_counter()
            contestant.steps(int(argument))
            answer = {"seconds": time.perf_counter() - start}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    settings = json.loads(sys.argv[2])
    work(sys.argv[1], settings)
