"""Computations that are given up."""


class Abandoned(Exception):
    """A computation is given up; nothing is wrong with it."""
