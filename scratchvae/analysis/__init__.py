"""What a trained model is worth: held-out quality, the ELBO taken apart, its latents, estimators and rates compared."""
from .elbo_decomposition import ledger
from .estimator_comparison import measure_estimators, Measurement
from .evaluation import evaluate, Evaluation
from .rate_distortion import Curve, Point, rate_distortion

__all__ = ["Curve", "Evaluation", "Measurement", "Point", "evaluate", "ledger", "measure_estimators", "rate_distortion"]
