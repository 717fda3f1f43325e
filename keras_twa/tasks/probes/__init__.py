"""Probes: small generated tasks that tell mechanisms apart in minutes."""

from keras_twa.tasks.probes.registry import PLACES
from keras_twa.tasks.probes.registry import get
from keras_twa.tasks.probes.registry import names

__all__ = ["PLACES", "get", "names"]
