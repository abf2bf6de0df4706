"""Every figure, drawn from plain arrays.

Every function returns a `matplotlib.figure.Figure`, and raises ShapeError or DataError if its arguments do not fit
together or are empty.  Figures are drawn by the Agg canvas, without a window, pyplot or global state: they work
without a display and in threads.  What color tells is also told by shape, darkness or text.  Pictures have one fixed
scale, 0 black to 1 white, and an image pixel covers a whole number of pixels of the file.
"""
from .curves import bounds_over_epochs, kl_per_dimension, learning_curves
from .images import decoded_grid, image_grid, reconstructions, traversal
from .labs import estimator_lab, rate_distortion
from .plane import latent_plane, principal_directions
from .sheet import save

__all__ = ["bounds_over_epochs", "learning_curves", "kl_per_dimension", "reconstructions", "image_grid", "traversal",
           "decoded_grid", "latent_plane", "principal_directions", "estimator_lab", "rate_distortion", "save"]
