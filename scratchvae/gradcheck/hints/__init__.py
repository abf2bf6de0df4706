"""Hints: the usual mistakes, compared with the numbers of a wrong gradient."""
