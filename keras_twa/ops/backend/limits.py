"""Numbers that keep a softmax finite where a query sees no key."""

# The maximum of such a row is -inf, and -inf + inf is NaN.
LEAST_LOGIT = -1e30
# The sum of any row with a visible key is at least 1.
LEAST_TOTAL = 0.5
