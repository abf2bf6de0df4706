"""What the KL term is made of."""
import numpy as np

from ..exercise import exercise


def world(rng):
    """Return p_x (n,), q (n, m), whose rows are q(z | x), and prior (m,)."""
    n, m, *_ = rng.sizes()
    p_x, q, prior = rng.random(n), rng.random((n, m)), rng.random(m)
    return {"p_x": p_x / p_x.sum(), "q": q / q.sum(axis=1, keepdims=True), "prior": prior / prior.sum()}


def adds_up_to_the_average_kl(answer, rng):
    """F37: both parts together are the KL term of the loss."""
    drawn = world(rng)
    wanted = float(np.sum(drawn["p_x"][:, None] * drawn["q"] * np.log(drawn["q"] / drawn["prior"])))
    found = sum(answer(**drawn))
    return "" if np.allclose(found, wanted) else f"the parts add up to {float(found):.4g}, the KL term is {wanted:.4g}"


@exercise("F37", world, laws=(adds_up_to_the_average_kl,), hints=(
    "The aggregate posterior is q(z) = sum over x of p(x) q(z | x): a product of a vector and a matrix.",
    "The information is the average over p(x) of KL(q(z | x) || q(z)); the rest is KL(q(z) || p(z)).",
    "q_z = p_x @ q; information = sum of p_x[:, None] * q * log(q / q_z); the other, sum of q_z * log(q_z / prior)."),
    slips=(("q_z = p_x @ q", "q_z = q.mean(axis=0)", "the aggregate posterior weighs each x by p(x)"),
           ("np.log(q / q_z)", "np.log(q / prior)", "the information compares q(z | x) with q(z), not with the prior"),
           ("q_z * np.log(q_z / prior)", "prior * np.log(prior / q_z)", "the other direction: KL(q(z) || p(z))"),
           ("p_x[:, None] * q * np.log(q / q_z)", "q * np.log(q / q_z)", "the information is an average over p(x)")))
def split_kl(p_x, q, prior):
    """The two parts of the average KL: what z knows about x, and how far q(z) is from the prior.

    p_x (n,)      p_data(x)
    q (n, m)      q(z | x), a row for each x
    prior (m,)    p(z)

    Return (information, rest), two numbers in nats: E KL(q(z | x) || q(z)) and KL(q(z) || p(z)), with
    q(z) = E q(z | x).                                                            (F34, F37)
    """
    q_z = p_x @ q
    return np.sum(p_x[:, None] * q * np.log(q / q_z)), np.sum(q_z * np.log(q_z / prior))
