"""Hypothesis profiles: HYPOTHESIS_PROFILE=dev (the default), ci, thorough, mutation; and which tests come first."""
import os

from hypothesis import HealthCheck, Phase, settings

COMMON = dict(deadline=None, suppress_health_check=[HealthCheck.too_slow])     # the first example compiles kernels
settings.register_profile("dev", max_examples=20, **COMMON)
settings.register_profile("ci", max_examples=20, derandomize=True, print_blob=True, **COMMON)
settings.register_profile("thorough", max_examples=1000, **COMMON)
# A failure is all that is asked for: it is not made smaller.
settings.register_profile("mutation", max_examples=20, derandomize=True, phases=[Phase.explicit, Phase.generate],
                          **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_collection_modifyitems(items):
    """Start the processes of test_families first and wait for them last: both cores are then busy meanwhile."""
    def turn(item):
        if "test_families.py" not in item.nodeid:
            return 1
        return 0 if item.name == "test_a_process_of_each_family_starts" else 2
    items.sort(key=turn)
