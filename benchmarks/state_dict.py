"""The VAE of pytorch/examples and ours with the same weights: loss and gradient, both ways.

    python benchmarks/state_dict.py

Needs PyTorch; without it nothing is compared, and it says so.
"""
import numpy as np

from scratchvae import VAE

ORDER, SIZES = ("fc1", "fc21", "fc22", "fc3", "fc4"), ((784, 400), (400, 20), (400, 20), (20, 400), (400, 784))
B = 128
MOST_ERROR = 1e-12                              # relative: sums of up to 100,352 terms in float64


def theirs_loss(torch, layers, x, eps):
    """Loss of pytorch/examples' vae/main.py, divided by the rows: it adds up over them."""
    h = torch.relu(layers["fc1"](x))
    mu, logvar = layers["fc21"](h), layers["fc22"](h)
    z = mu + eps * torch.exp(0.5 * logvar)
    logits = layers["fc4"](torch.relu(layers["fc3"](z)))
    bce = torch.nn.functional.binary_cross_entropy(torch.sigmoid(logits), x, reduction="sum")
    return (bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())) / len(x)


def compare(torch, layers, vae, x, eps):
    """Return relative differences of loss and gradient."""
    layers.zero_grad()
    loss = theirs_loss(torch, layers, torch.from_numpy(x), torch.from_numpy(eps))
    loss.backward()
    objective, gradient = vae.gradient(x, eps)
    carrier = VAE(784, 20, hidden=(400,), dtype="float64")
    carrier.parameters = gradient               # for the names and shapes of PyTorch
    ours = carrier.to_state_dict(ORDER)
    errors = {name: np.abs(ours[name] - p.grad.numpy()).max() / np.abs(p.grad.numpy()).max()
              for name, p in layers.named_parameters()}
    return abs(objective.loss / loss.item() - 1), errors


def main():
    """Take PyTorch's weights here, then ours there."""
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: nothing was compared")
        return
    torch.manual_seed(0)
    layers = torch.nn.ModuleDict({name: torch.nn.Linear(*sizes) for name, sizes in zip(ORDER, SIZES)}).double()
    rng = np.random.default_rng(0)
    x, eps = rng.random((B, 784)), rng.standard_normal((B, 20))
    found = {"from_state_dict": compare(torch, layers, VAE.from_state_dict(layers.state_dict()), x, eps)}
    vae = VAE(784, 20, hidden=(400,), dtype="float64", seed=1)
    layers.load_state_dict({name: torch.from_numpy(array) for name, array in vae.to_state_dict(ORDER).items()})
    found["to_state_dict"] = compare(torch, layers, vae, x, eps)
    back = VAE.from_state_dict(layers.state_dict())
    changed = int((back.parameters.flat != vae.parameters.flat).sum())
    print(f"PyTorch {torch.__version__}; there and back changes {changed} of {vae.parameters.flat.size:,} numbers")
    for name, (loss, gradient) in found.items():
        worst = max(gradient, key=gradient.get)
        print(f"{name:15s} relative difference of the loss {loss:.1e}, of the gradient {gradient[worst]:.1e} at most "
              f"({worst})")
    raise SystemExit(any(max(loss, *gradient.values()) > MOST_ERROR for loss, gradient in found.values()))


if __name__ == "__main__":
    main()
