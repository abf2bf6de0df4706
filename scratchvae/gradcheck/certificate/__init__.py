"""An exact gradient check, without step, tolerance or rounding: `certify`, `certify_layer`, `certify_model`."""
from .models import certify_layer, certify_model
from .trial import Certificate, certify

__all__ = ["Certificate", "certify", "certify_layer", "certify_model"]
