"""Softmax attention: every query weighs keys, in tiles of the score matrix."""
