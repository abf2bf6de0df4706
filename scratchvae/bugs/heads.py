"""Faults of the encoder's head: the sampler, the KL, and their gradients."""
from collections.abc import Callable

import numpy as np

from ..kernels import gaussian
from ..kernels.likelihoods import example_rows
from .injection import bug, bug_maker

BOTH = (gaussian.gaussian_forward, gaussian.gaussian_backward)
CHECK = "gradient check"
WRONG_POSTERIOR = ("sampler moments", "KL by quadrature", "linear-Gaussian oracle")
WRONG_KL = ("KL by quadrature", "linear-Gaussian oracle")


def halves(head: np.ndarray) -> list:
    """Return views of the two halves of a head (B, 2Z), or of its cotangent."""
    return np.split(head, 2, axis=1)


def summed(rows: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Return rows (B*K, Z) summed over the samples of an example, (B, Z)."""
    return rows.reshape(len(head), -1, rows.shape[1]).sum(axis=1)


def change_slope(original: Callable, head: np.ndarray, eps: np.ndarray, d_z: np.ndarray, d_kl: np.ndarray,
                 d_head: np.ndarray, reconstruction: Callable = lambda g_eps, g, sigma: 0.5 * g_eps * sigma,
                 kl: Callable = lambda sigma: 0.5 * (sigma**2 - 1)) -> None:
    """Run the backward pass, then replace a part of d_logvar; the defaults are the right parts (E7).

    `reconstruction(g_eps, g, sigma)` gives the reconstruction's part, where g_eps and g are d_z eps and d_z, summed
    over samples; `kl(sigma)` gives the KL's part without its weight.
    """
    original(head, eps, d_z, d_kl, d_head)
    sigma = np.exp(0.5 * halves(head)[1])
    g_eps, g = summed(d_z * eps, head), summed(d_z, head)
    halves(d_head)[1][:] = reconstruction(g_eps, g, sigma) + d_kl * kl(sigma)


@bug(gaussian.gaussian_backward, symptom="the spread of q is learned too fast; the curve looks fine", detected_by=CHECK,
     diagnosis="the reconstruction part of d_logvar is 2.00 x")
def missing_half(original, *arguments):
    """The 1/2 of dz/dlogvar = eps sigma / 2 is forgotten (E7)."""
    change_slope(original, *arguments, reconstruction=lambda g_eps, g, sigma: g_eps * sigma)


@bug(gaussian.gaussian_backward, symptom="noise moves logvar, and its average is a bias", detected_by=CHECK,
     diagnosis="the eps of dz/dlogvar = eps sigma / 2 is missing")
def forgotten_eps(original, *arguments):
    """d_logvar lacks the noise: dz/dlogvar is taken as sigma / 2 (E7)."""
    change_slope(original, *arguments, reconstruction=lambda g_eps, g, sigma: 0.5 * g * sigma)


@bug(gaussian.gaussian_backward, symptom="sigma gets far too small, and the loss climbs", detected_by=CHECK,
     diagnosis="the sigma of dz/dlogvar = eps sigma / 2 is missing")
def forgotten_sigma(original, *arguments):
    """d_logvar lacks sigma: dz/dlogvar is taken as eps / 2 (E7)."""
    change_slope(original, *arguments, reconstruction=lambda g_eps, g, sigma: 0.5 * g_eps)


@bug(gaussian.gaussian_backward, symptom="the curve looks fine while sigma stays too large", detected_by=CHECK,
     diagnosis="sigma^2 stands for sigma: a sigma too many")
def variance_in_backward(original, *arguments):
    """exp(logvar) stands in the place of exp(logvar / 2), in the backward pass alone (E7)."""
    change_slope(original, *arguments, reconstruction=lambda g_eps, g, sigma: 0.5 * g_eps * sigma**2)


@bug(gaussian.gaussian_backward, symptom="sigma grows without bound, or shrinks to 0", detected_by=CHECK,
     diagnosis="the KL part of d_logvar is -1.00 x")
def flipped_kl(original, *arguments):
    """The KL's slope along logvar has the wrong sign: (1 - sigma^2) / 2 (E7)."""
    change_slope(original, *arguments, kl=lambda sigma: 0.5 * (1 - sigma**2))


@bug(gaussian.gaussian_backward, symptom="sigma falls to 0: nothing keeps it up", detected_by=CHECK,
     diagnosis="the -1 of sigma^2 - 1 is missing")
def kl_without_log(original, *arguments):
    """The slope of -logvar in the KL is forgotten: sigma^2 / 2 in the place of (sigma^2 - 1) / 2 (E7)."""
    change_slope(original, *arguments, kl=lambda sigma: 0.5 * sigma**2)


@bug(gaussian.gaussian_backward, symptom="sigma ends a little off; the curve looks fine", detected_by=CHECK,
     diagnosis="sigma stands for sigma^2")
def sigma_for_variance_in_kl(original, *arguments):
    """The KL's slope is (sigma - 1) / 2 (E7)."""
    change_slope(original, *arguments, kl=lambda sigma: 0.5 * (sigma - 1))


@bug(gaussian.gaussian_backward, seen_in="PyPI easyvae 1.3.3, SampleLayer.back",
     symptom="the cosine to the right gradient is 0.98, and the loss climbs all the same", detected_by=CHECK,
     diagnosis="the reconstruction part of d_logvar is 4.00 x")
def easyvae_backward(original, *arguments):
    """The KL's slope is multiplied by sigma, and the reconstruction's is four times its forward pass's (E7)."""
    change_slope(original, *arguments, reconstruction=lambda g_eps, g, sigma: 2 * g_eps * sigma,
                 kl=lambda sigma: 0.5 * (sigma**2 - 1) * sigma)


@bug(gaussian.gaussian_backward, seen_in="facebookresearch/irmae#1",
     symptom="reconstructions are excellent, samples are noise; the KL that is reported climbs", detected_by=CHECK,
     diagnosis="part of d_logvar is 0.00 x what it should be: is the KL differentiated at all?")
def kl_not_differentiated(original, head, eps, d_z, d_kl, d_head):
    """The KL is in the loss that is printed and not in the gradient (E7)."""
    original(head, eps, d_z, 0 * d_kl, d_head)


@bug(gaussian.gaussian_backward, seen_in="classic: beta added to the loss after the gradient was written",
     symptom="any beta gives the model of beta = 1", detected_by=CHECK, diagnosis="a factor beta is missing", beta=2.5)
def beta_not_in_gradient(original, head, eps, d_z, d_kl, d_head):
    """beta weighs the KL of the loss and not that of the gradient (E6)."""
    original(head, eps, d_z, np.full_like(d_kl, 1 / len(head)), d_head)


@bug(gaussian.gaussian_backward, seen_in="zfjsail/gae-pytorch#3 (tkipf/gae#20)",
     symptom="the KL has hardly any effect: good reconstructions, poor samples", detected_by=CHECK,
     diagnosis="a factor B is missing")
def kl_averaged_twice(original, head, eps, d_z, d_kl, d_head):
    """The KL's gradient is divided by B twice (E6)."""
    original(head, eps, d_z, d_kl / len(head), d_head)


@bug(gaussian.gaussian_backward, seen_in="classic: formulas of two estimators mixed",
     symptom="a noisier gradient of the right mean", detected_by=CHECK, diagnosis="z stands for mu")
def z_for_mu(original, head, eps, d_z, d_kl, d_head):
    """d_mu has beta z of the Monte Carlo KL where the loss has the closed form's beta mu (E6)."""
    original(head, eps, d_z, d_kl, d_head)
    noise = eps * example_rows(np.exp(0.5 * halves(head)[1]), eps)
    halves(d_head)[0][:] += d_kl * noise.reshape(len(head), -1, eps.shape[1]).mean(axis=1)


@bug(gaussian.gaussian_backward, symptom="the loss climbs beyond all bounds, and training stops", detected_by=CHECK,
     diagnosis="stand in each other's place")
def swapped_halves(original, head, eps, d_z, d_kl, d_head):
    """d_mu and d_logvar are written into each other's half of the head (E6)."""
    right = np.empty_like(d_head)
    original(head, eps, d_z, d_kl, right)
    d_head[:] = np.roll(right, head.shape[1] // 2, axis=1)


@bug(gaussian.gaussian_backward, seen_in="classic: sampling inside a detached block",
     symptom="posterior collapse: only the KL reaches the encoder", detected_by=CHECK,
     diagnosis="the reconstruction part of d_mu is 0.00 x what it should be: it never arrives")
def sample_detached(original, head, eps, d_z, d_kl, d_head):
    """The gradient stops at z: no part of the reconstruction's reaches the encoder (E6)."""
    original(head, eps, np.zeros_like(d_z), d_kl, d_head)


@bug_maker(gaussian.gaussian_backward, seen_in="kwj2104/Simple-Variational-Autoencoder, forward",
           symptom="sigma stays near 1, where the KL alone holds it: the reconstruction's pull averages to 0",
           detected_by=CHECK, diagnosis="drawn anew")
def noise_drawn_twice(original):
    """z is made with one draw of eps, and the backward pass uses another (E7)."""
    rng = np.random.default_rng(0)

    def gaussian_backward(head, eps, d_z, d_kl, d_head):
        original(head, rng.standard_normal(eps.shape).astype(eps.dtype), d_z, d_kl, d_head)
    return gaussian_backward


@bug(gaussian.gaussian_forward, seen_in="AiDotNet PR#2033 (review)",
     symptom="sigma of confident examples jumps about; infinities where logvar is large", detected_by=CHECK,
     diagnosis="the forward clamps there, and the backward does not know", n_latent=3)
def clamp_without_mask(original, head, eps, z, kl):
    """logvar is clamped in the forward pass; the backward pass differentiates the raw one (E7)."""
    mu, logvar = halves(head)
    original(np.hstack([mu, np.clip(logvar, -0.1, 0.1)]), eps, z, kl)


# In the rest, forward and backward agree: no gradient check finds these faults


def with_noise(forward: Callable, backward: Callable, factor: Callable) -> tuple:
    """Return both passes with z = mu + s eps, where factor(sigma) gives s and ds/dlogvar."""
    def gaussian_forward(head, eps, z, kl):
        forward(head, eps, z, kl)
        mu, logvar = halves(head)
        z[:] = example_rows(mu, z) + example_rows(factor(np.exp(0.5 * logvar))[0], z) * eps

    def gaussian_backward(*arguments):
        change_slope(backward, *arguments, reconstruction=lambda g_eps, g, sigma: g_eps * factor(sigma)[1])
    return gaussian_forward, gaussian_backward


@bug_maker(*BOTH, seen_in="ddbourgin/numpy-ml _sample; keras PR#9972, keras#3283, rishikksh20/vae_tacotron2#3",
           symptom="the curve looks fine: the encoder learns another scale, and the loss is no bound",
           detected_by=WRONG_POSTERIOR)
def variance_for_sigma(forward, backward):
    """The sampler takes the variance for the standard deviation: z = mu + exp(logvar) eps (E2)."""
    return with_noise(forward, backward, lambda sigma: (sigma**2, sigma**2))


@bug_maker(*BOTH, seen_in="PyPI easyvae 1.3.3, SampleLayer.forward",
           symptom="the curve looks better than the right one", detected_by=WRONG_POSTERIOR)
def half_noise(forward, backward):
    """The noise is halved: z = mu + 1/2 sigma eps (E2)."""
    return with_noise(forward, backward, lambda sigma: (0.5 * sigma, 0.25 * sigma))


@bug_maker(*BOTH, seen_in="keras#4211 (noise of standard deviation 0.01)",
           symptom="the printed ELBO is excellent and no bound", detected_by=WRONG_POSTERIOR)
def hardly_any_noise(forward, backward):
    """The noise has a standard deviation of 0.01, whatever sigma is: this is a plain autoencoder (E2)."""
    return with_noise(forward, backward, lambda sigma: (0.01 + 0 * sigma, 0 * sigma))


def with_kl(forward: Callable, backward: Callable, value: Callable, slopes: Callable) -> tuple:
    """Return both passes with kl = value(mu, logvar) (B, Z), summed; slopes(mu, logvar) gives its derivatives."""
    def gaussian_forward(head, eps, z, kl):
        forward(head, eps, z, kl)
        kl[:] = value(*halves(head)).sum(axis=1)

    def gaussian_backward(head, eps, d_z, d_kl, d_head):
        backward(head, eps, d_z, 0 * d_kl, d_head)
        for half, slope in zip(halves(d_head), slopes(*halves(head))):
            half += d_kl * slope
    return gaussian_forward, gaussian_backward


@bug_maker(*BOTH, symptom="a blurrier model, like that of beta = 2; the loss hardly moves", detected_by=WRONG_KL)
def kl_without_half(forward, backward):
    """The KL lacks its 1/2, in the loss and in the gradient (E4)."""
    return with_kl(forward, backward, lambda mu, logvar: mu**2 + np.expm1(logvar) - logvar,
                   lambda mu, logvar: (2 * mu, np.expm1(logvar)))


@bug_maker(*BOTH, seen_in="mkusner/grammarVAE#2, keras PR#3220", symptom="a weak KL; beta depends on Z",
           detected_by="KL by quadrature", n_latent=3)
def kl_mean_over_latents(forward, backward):
    """The KL is averaged over the latents, not summed (E4)."""
    return with_kl(forward, backward, lambda mu, logvar: 0.5 * (mu**2 + np.expm1(logvar) - logvar) / mu.shape[1],
                   lambda mu, logvar: (mu / mu.shape[1], 0.5 * np.expm1(logvar) / mu.shape[1]))


@bug_maker(*BOTH, seen_in="keras#3220, hardmaru world-models#13",
           symptom="sigma ends at the wrong size; the curve looks fine", detected_by=WRONG_KL)
def log_sigma_in_kl(forward, backward):
    """The KL takes logvar for log sigma, the sampler takes it for log sigma^2 (E4)."""
    return with_kl(forward, backward, lambda mu, logvar: 0.5 * (mu**2 + np.expm1(2 * logvar) - 2 * logvar),
                   lambda mu, logvar: (mu, np.expm1(2 * logvar)))


@bug_maker(*BOTH, symptom="each q is too wide; the curve looks fine", detected_by=WRONG_KL)
def reversed_kl(forward, backward):
    """KL(p || q) stands in the place of KL(q || p) (E4)."""
    return with_kl(forward, backward, lambda mu, logvar: 0.5 * ((mu**2 + 1) * np.exp(-logvar) - 1 + logvar),
                   lambda mu, logvar: (mu * np.exp(-logvar), 0.5 - 0.5 * (mu**2 + 1) * np.exp(-logvar)))
