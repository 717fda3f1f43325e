"""Keeps generated rows out of the user's cache."""

from tests.experiments.conftest import own_cache  # noqa: F401
