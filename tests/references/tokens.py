"""Losses and metrics of tokens, one token after the other."""

import numpy as np


def log_softmax(logits):
    """Return the logarithm of the softmax of a vector, complex or real."""
    shifted = logits - logits.real.max()
    return shifted - np.log(np.exp(shifted).sum())


def counted(labels, padding_token=0, sample_weight=None, mask=None):
    """Yield the place and the weight of each token that counts."""
    labels = np.asarray(labels)
    for b, t in np.ndindex(labels.shape):
        if labels[b, t] == padding_token or (mask is not None and not mask[b][t]):
            continue
        weight = 1.0
        if sample_weight is not None:
            row = np.atleast_1d(np.asarray(sample_weight, "float64")[b])
            weight = row[t] if len(row) > 1 else row[0]
        yield (b, t), weight


def token_cost(label, logits, label_smoothing=0.0):
    """Return `-sum_v q_v log softmax(logits)_v` of one token."""
    logs = log_softmax(logits)
    classes = len(logits)
    wanted = np.full(classes, label_smoothing / classes)
    wanted[label] += 1 - label_smoothing
    return -sum(q * log for q, log in zip(wanted, logs, strict=True))


def mean_cost(labels, logits, label_smoothing=0.0, **masks):
    """Return the mean cost of the tokens that count; 0 if there is none."""
    total, count = 0.0, 0.0
    for place, weight in counted(labels, **masks):
        total += weight * token_cost(labels[place], logits[place], label_smoothing)
        count += weight
    return total / count if count else 0.0


def share_right(labels, predictions, **masks):
    """Return how many of the tokens that count are the argmax; 0 if there is none."""
    total, count = 0.0, 0.0
    for place, weight in counted(labels, **masks):
        best = max(range(predictions.shape[-1]), key=lambda v: predictions[place][v])
        total += weight * (best == labels[place])
        count += weight
    return total / count if count else 0.0
