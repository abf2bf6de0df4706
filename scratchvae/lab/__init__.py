"""The lab: what the theory says about estimators and about the KL's weight, measured in seconds on small worlds."""
from .estimators import Measurement, measure_estimators
from .weights import Curve, Point, rate_distortion

__all__ = ["Measurement", "measure_estimators", "Curve", "Point", "rate_distortion"]
