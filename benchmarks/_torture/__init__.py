"""The trials of benchmarks/torture.py, a file each kind."""
