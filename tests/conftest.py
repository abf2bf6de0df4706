"""Hypothesis profiles: HYPOTHESIS_PROFILE=dev (the default), ci, thorough."""
import os

from hypothesis import HealthCheck, settings

COMMON = dict(deadline=None, suppress_health_check=[HealthCheck.too_slow])     # the first example compiles kernels
settings.register_profile("dev", max_examples=20, **COMMON)
settings.register_profile("ci", max_examples=20, derandomize=True, print_blob=True, **COMMON)
settings.register_profile("thorough", max_examples=1000, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))
