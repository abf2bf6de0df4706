"""Figures that only the course draws."""
