"""A few cases for every run of the tests, the others for the full run."""

import pytest

# One of each kind: the fused kernel, temporal weights, a recurrence.
MECHANISMS = ("dot_product", "temporal_weighted", "retention")


def a_few(cases, name=str, others="full"):
    """Mark all cases but those of a few mechanisms as belonging to the full run.

    Args:
        cases: Names of mechanisms, classes of layers, or other cases.
        name: Function from a case to the name of its mechanism.
        others: The mark of the other cases.
    """
    return [
        case
        if name(case) in MECHANISMS
        else pytest.param(case, marks=getattr(pytest.mark, others))
        for case in cases
    ]
