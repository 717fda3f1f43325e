"""Generated dates in words and in digits. Nothing is downloaded."""

import datetime

import numpy as np

from keras_twa.datasets import checks
from keras_twa.datasets.text_pairs import END
from keras_twa.datasets.text_pairs import START
from keras_twa.datasets.text_pairs import VOCABULARY_SIZE
from keras_twa.datasets.text_pairs import decode
from keras_twa.datasets.text_pairs import encode
from keras_twa.datasets.text_pairs import to_arrays

__all__ = [
    "END",
    "START",
    "VOCABULARY_SIZE",
    "decode",
    "encode",
    "load_data",
    "phrasings",
]

FIRST = datetime.date(1900, 1, 1).toordinal()
LAST = datetime.date(2099, 12, 31).toordinal()
ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
    *("seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
    "twenty": "twentieth",
    "thirty": "thirtieth",
}
# Not those of `calendar`, which follow the locale of the machine.
WEEKDAYS = (
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
)
MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)


def load_data(num_train=20_000, num_validation=1_000, num_test=1_000, seed=0):
    """Generates dates in words, with the same dates in digits as targets.

    For example "the fourth of march nineteen eighty-two" becomes "1982-03-04". The days
    are from 1900 to 2099, each in one of the `phrasings`. Each day occurs at most once
    in all splits together.

    Args:
        num_train: Number of training pairs. Defaults to `20_000`.
        num_validation: Number of validation pairs. Defaults to `1_000`.
        num_test: Number of test pairs. Defaults to `1_000`.
        seed: Non-negative integer. Defaults to `0`.

    Returns:
        `(source, target)` of training, validation and test: int32, padded with 0.
        Tokens are bytes, as `encode` makes them; targets begin with `START` and end
        with `END`.

    Raises:
        ValueError: If an argument is out of range, or there are too few days.

    Example:

    >>> (source, target), _, _ = load_data(16, 4, 4)
    >>> target.shape
    (16, 12)
    >>> day = datetime.date.fromisoformat(decode(target[0]))
    >>> decode(source[0]) in phrasings(day)
    True
    """
    sizes = {
        "num_train": num_train,
        "num_validation": num_validation,
        "num_test": num_test,
    }
    checks.integers_from(1, **sizes)
    checks.integers_from(0, seed=seed)
    days, total = LAST - FIRST + 1, sum(sizes.values())
    if total > days:
        raise ValueError(
            f"There are {days} days from 1900 to 2099. Received: {total} pairs"
        )
    rng = np.random.default_rng(seed)
    pairs = []
    for number in rng.permutation(days)[:total]:
        day = datetime.date.fromordinal(FIRST + int(number))
        ways = phrasings(day)
        pairs.append((ways[rng.integers(len(ways))], day.isoformat()))
    ends = np.cumsum(list(sizes.values()))
    return to_arrays(
        [
            pairs[end - size : end]
            for end, size in zip(ends, sizes.values(), strict=True)
        ]
    )


def phrasings(day):
    """Returns the ways to say or write a date from 1900 to 2099, as a list.

    Example:

    >>> for text in phrasings(datetime.date(1982, 3, 4)):
    ...     print(text)
    the fourth of march nineteen eighty-two
    march the fourth, nineteen eighty-two
    march fourth nineteen eighty-two
    thursday, the fourth of march nineteen eighty-two
    thursday, march 4th, 1982
    the 4th of march 1982
    march 4, 1982
    4 mar 1982
    """
    month, weekday = MONTHS[day.month - 1], WEEKDAYS[day.weekday()]
    said, year = _ordinal(day.day), _year(day.year)
    written = f"{day.day}{_suffix(day.day)}"
    return [
        f"the {said} of {month} {year}",
        f"{month} the {said}, {year}",
        f"{month} {said} {year}",
        f"{weekday}, the {said} of {month} {year}",
        f"{weekday}, {month} {written}, {day.year}",
        f"the {written} of {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{day.day} {month[:3]} {day.year}",
    ]


def _number(number):
    """A number below 100 in words."""
    if number < len(ONES):
        return ONES[number]
    tens, ones = divmod(number, 10)
    return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")


def _ordinal(number):
    """The number of a day in words."""
    tens, dash, last = _number(number).rpartition("-")
    return tens + dash + ORDINALS.get(last, f"{last}th")


def _suffix(number):
    """The suffix after the digits of the number of a day."""
    if number in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _year(year):
    """A year in words."""
    century, rest = divmod(year, 100)
    if 2000 <= year < 2010:
        return "two thousand" + (f" and {_number(rest)}" if rest else "")
    if not rest:
        return f"{_number(century)} hundred"
    return f"{_number(century)} {_number(rest) if rest > 9 else f'oh {_number(rest)}'}"
