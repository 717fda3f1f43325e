"""Attention mechanisms of somebody else's, made of public names of keras_twa."""

from keras_twa import layers
from their_attention.distance import DistanceAttention
from their_attention.fading import FadingAttention

layers.register("distance", DistanceAttention)
layers.register("fading", FadingAttention)
