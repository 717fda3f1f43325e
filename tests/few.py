"""A few cases for every run of the tests, the others for the full run."""

import pytest

# One of each kind: the fused kernel, temporal weights, a recurrence.
MECHANISMS = ("dot_product", "temporal_weighted", "retention")


def a_few(cases, name=str, others="full", always=MECHANISMS):
    """Mark all cases but a few as belonging to the full run.

    Args:
        cases: Names of mechanisms, classes of layers, or other cases.
        name: Function from a case to the name of its mechanism.
        others: The mark of the other cases.
        always: The names of the cases without a mark.
    """
    return [
        case
        if name(case) in always
        else pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=getattr(pytest.mark, others),
        )
        for case in cases
    ]
