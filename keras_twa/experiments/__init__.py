"""Experiments: configuration, runs, results as JSON, and reports."""
