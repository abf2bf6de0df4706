"""Distributions, their divergences, and estimates of them from samples."""
