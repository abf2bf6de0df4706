"""What a matrix product does to the rows that it has just written: the activations of a dense layer."""
import numpy as np

from .hints import widest_vectors
from .twins import device
from .vectormath import sigmoid, softplus, tanh

IDENTITY, RELU, TANH, SIGMOID, SOFTPLUS = range(5)


@device()
def least(activation):
    """The least output: the product itself applies relu, max(a, 0), while the numbers are in registers."""
    return 0.0 if activation == RELU else -np.inf


@device()
def activate(y, first, last, activation):
    """y[j] = act(y[j]) for first <= j < last, for the other activations; y is a row or a pointer to one."""
    widest_vectors()
    if activation == TANH:
        for j in range(np.uint64(first), np.uint64(last)):
            y[j] = tanh(y[j])
    elif activation == SIGMOID:
        for j in range(np.uint64(first), np.uint64(last)):
            y[j] = sigmoid(y[j])
    elif activation == SOFTPLUS:
        for j in range(np.uint64(first), np.uint64(last)):
            y[j] = softplus(y[j])
