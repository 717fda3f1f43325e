"""Experiments: configured, run, kept as JSON, reported."""
