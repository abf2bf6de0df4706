"""The elementary functions of kernels over whole arrays, registered like kernels so that they are tested like them."""
from scratchvae.kernels import vectormath
from scratchvae.kernels.twins import twin_of, TWINS

FUNCTIONS = ("exp", "expm1", "log", "tanh", "sigmoid", "softplus", "log1p_unit", "sin_turn", "cos_turn")


def _array_kernel(name):
    function = getattr(vectormath, name)

    def reference(x, y):
        """y = function(x), with x and y (n,)."""
        y[:] = function(x)

    def kernel(x, y):
        for i in range(len(x)):
            y[i] = function(x[i])
    kernel.__name__ = f"{name}_array"
    reference.__name__ = f"{name}_array_ref"
    twin_of(reference)(kernel)
    return TWINS[kernel.__name__]


ARRAY_TWINS = {name: _array_kernel(name) for name in FUNCTIONS}
