"""Running sums that stay accurate, however long the sequence is."""

from keras import ops

# Numbers are split into digits in base 1024. As integers, these add up exactly for 2^22
# steps. The first digit counts multiples of 1024, the last one multiples of 2^-40.
BITS, NUM_DIGITS = 10, 6
BASE = 2.0**BITS
LARGEST = BASE * BASE / 2


def running_sum(x):
    """The sum of the steps up to each one, in two parts whose differences are exact.

    Float32 numbers near 20,000 are 0.002 apart, and a difference of two such sums is
    no better than that. Here, the first part is the rounded sum, and the second part is
    the rounding error. The difference of the first parts plus that of the second parts
    has an error of about 1e-7, absolute or relative, whichever is larger.

    Args:
        x: Float32 `(B, T, ...)`, clipped to `-LARGEST ... LARGEST`.

    Returns:
        Two tensors of the shape of `x`. The gradient goes through the first one.
    """
    rest = ops.stop_gradient(ops.clip(x, -LARGEST, LARGEST)) / BASE
    digits = []
    for _ in range(NUM_DIGITS):
        digit = ops.round(rest)
        digits.append(ops.cast(digit, "int32"))
        rest = (rest - digit) * BASE
    digits = ops.cumsum(ops.stack(digits), axis=2)
    digits = [digits[place] for place in range(NUM_DIGITS)]
    # From the last digit on, carries are added to the digit before.
    fraction, unit = 0.0, BASE ** (2 - NUM_DIGITS)
    for place in range(NUM_DIGITS - 1, 0, -1):
        whole = ops.right_shift(digits[place], BITS)
        digits[place - 1] = digits[place - 1] + whole
        digits[place] = digits[place] - ops.left_shift(whole, BITS)
        if place > 1:
            fraction = fraction + ops.cast(digits[place], "float32") * unit
            unit = unit * BASE
    high, low = _sum_of_two(
        ops.cast(digits[0], "float32") * BASE, ops.cast(digits[1], "float32")
    )
    high, low = _sum_of_two(high, low + fraction)
    plain = ops.cumsum(x, axis=1)
    return plain + ops.stop_gradient(high - plain), low


def _sum_of_two(larger, smaller):
    """The rounded sum, and the rounding error."""
    total = larger + smaller
    return total, smaller - (total - larger)
