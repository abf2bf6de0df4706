"""Optimiser updates over flat vectors, each one pass.

STRICT keeps divisions and roots as written: an estimate that only vector instructions have would make an
element depend on where the threads cut the vector.
"""
import math

import numpy as np

from .registry import STRICT, prange, twin_of


def sgd_update_ref(theta, gradient, velocity, learning_rate, momentum):
    """Gradient descent with momentum, in place on theta and velocity (Polyak 1964).       (O1)

    velocity = momentum velocity + gradient;  theta = theta - learning_rate velocity
    """
    velocity *= momentum
    velocity += gradient
    theta -= learning_rate * velocity


@twin_of(sgd_update_ref, parallel=True, fastmath=STRICT)
def sgd_update(theta, gradient, velocity, learning_rate, momentum):
    rate, keep = theta.dtype.type(learning_rate), theta.dtype.type(momentum)
    for i in prange(len(theta)):
        velocity[i] = keep * velocity[i] + gradient[i]
        theta[i] -= rate * velocity[i]


def adam_update_ref(theta, gradient, m, v, step, learning_rate, beta1, beta2, epsilon):
    """Adam, in place on theta, m and v; step counts from 1 (Kingma & Ba 2015, Algorithm 1).   (O2)

    m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
    theta = theta - learning_rate (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon)
    """
    m += (1 - beta1) * (gradient - m)
    v += (1 - beta2) * (gradient * gradient - v)
    theta -= (learning_rate / (1 - beta1 ** step)) * m / (np.sqrt(v / (1 - beta2 ** step)) + epsilon)


@twin_of(adam_update_ref, parallel=True, fastmath=STRICT)
def adam_update(theta, gradient, m, v, step, learning_rate, beta1, beta2, epsilon):
    kind = theta.dtype.type
    rate, unbias = kind(learning_rate / (1 - beta1 ** step)), kind(1 / (1 - beta2 ** step))
    blend1, blend2, floor = kind(1 - beta1), kind(1 - beta2), kind(epsilon)
    for i in prange(len(theta)):
        g = gradient[i]
        m[i] += blend1 * (g - m[i])
        v[i] += blend2 * (g * g - v[i])
        theta[i] -= rate * m[i] / (math.sqrt(v[i] * unbias) + floor)
