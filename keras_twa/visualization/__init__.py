"""Figures of attention weights, for a notebook or a report."""

from keras_twa.visualization.heatmaps import attention_heatmaps
from keras_twa.visualization.positions import position_weights

__all__ = ["attention_heatmaps", "position_weights"]
