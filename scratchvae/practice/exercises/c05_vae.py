"""The optimizer that trains the VAE."""
import numpy as np

from ..exercise import exercise


def parameters(rng):
    """Return theta, its gradient g, the means m and v, all (n,), the step, counted from 1, and the rate."""
    n = rng.sizes()[0]
    theta, g, m = rng.standard_normal((3, n))
    return {"theta": theta, "g": g, "m": m, "v": rng.random(n), "step": int(rng.integers(1, 9)),
            "rate": float(rng.uniform(0.01, 0.1))}


def moves_every_number_by_the_rate_at_first(answer, rng):
    """At step 1 the corrected means are g and g^2, so each number moves by the rate, whatever the gradient's size."""
    g = np.array([-1e3, 1e-3, 2.0])
    theta, *_ = answer(np.zeros(3), g, np.zeros(3), np.zeros(3), 1, 0.1)
    return "" if np.allclose(theta, -0.1 * np.sign(g), rtol=1e-4) else f"the first step is {theta[0]:.4g}, not 0.1"


STILL = {**dict.fromkeys(("theta", "m", "v"), np.zeros(3)), "g": np.array([0.0, 1e-9, -1e-7]), "step": 5, "rate": 0.1}
STEEP = {**STILL, "g": np.array([-1e3, 30.0, 1e5])}


@exercise("O2", parameters, corners=(STILL, STEEP), laws=(moves_every_number_by_the_rate_at_first,), hints=(
    "Two running means: m of the gradient, v of its square. Both start at 0, so at first they are too small.",
    "m = 0.9 m + 0.1 g and v = 0.999 v + 0.001 g^2; then m / (1 - 0.9^step) and v / (1 - 0.999^step) are unbiased.",
    "theta - rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8), and return all three."), slips=(
    ("m / (1 - 0.9 ** step)", "m", "m is not corrected for its start at 0: divide by 1 - 0.9^step"),
    ("v / (1 - 0.999 ** step)", "v", "v is not corrected for its start at 0: divide by 1 - 0.999^step"),
    ("theta - rate", "theta + rate", "the step climbs: it is subtracted"),
    ("(m / (1 - 0.9 ** step)) / (np.sqrt(v / (1 - 0.999 ** step))",
     "np.sqrt(1 - 0.999 ** step) / (1 - 0.9 ** step) * m / (np.sqrt(v)",
     "epsilon is added to the root of v before v is corrected: correct v first"),
    ("np.sqrt(v / (1 - 0.999 ** step)) + 1e-08", "np.sqrt(v / (1 - 0.999 ** step) + 1e-08)",
     "epsilon stands under the root: take the root first, then add epsilon"),
    (" + 1e-08", "", "epsilon is missing: a weight whose gradient is always 0 becomes nan"),
    ("np.sqrt(v / (1 - 0.999 ** step))", "v / (1 - 0.999 ** step)", "the square root of v is missing"),
    ("0.1 * g\n", "g\n", "m gets (1 - 0.9) g, not g"), ("0.001 * g ** 2", "g ** 2", "v gets (1 - 0.999) g^2, not g^2"),
    ("0.001 * g ** 2", "0.001 * g", "v is the mean of the squares of g"),
    ("0.9 ** step", "0.9 ** (step + 1)", "step counts from 1 already"),
    ("), m, v)", "), m / (1 - 0.9 ** step), v / (1 - 0.999 ** step))",
     "m and v are returned corrected, and the next step would correct them again: return the running means")))
def adam(theta, g, m, v, step, rate):
    """One step of Adam, with beta1 = 0.9, beta2 = 0.999 and epsilon = 1e-8.

    theta, g (n,)   parameters and their gradient
    m, v (n,)       running means of g and of g^2, as the last step left them
    step            counted from 1
    rate            the learning rate

    theta moves against the gradient, by rate m_hat / (sqrt(v_hat) + epsilon); the hat is the correction of the new
    m and v for their start at 0.
    Return the new (theta, m, v); leave the arguments as they are.                (O2)
    """
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    return theta - rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8), m, v
