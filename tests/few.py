"""Some cases for every run of the tests, and the others for the full run."""

import pytest

# One of each kind: the fused kernel, temporal weights, a recurrence.
MECHANISMS = ("dot_product", "temporal_weighted", "retention")


def a_few(cases, name=str, others="full"):
    """Mark the cases of mechanisms other than a few as belonging to the full run.

    Args:
        cases: Names of mechanisms, classes of layers, or other cases.
        name: Function from a case to the name of its mechanism.
        others: The mark of the others.
    """
    return [
        case
        if name(case) in MECHANISMS
        else pytest.param(case, marks=getattr(pytest.mark, others))
        for case in cases
    ]
