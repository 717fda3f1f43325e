"""Generated film reviews: clearly not real, never downloaded."""

import random

FILMS = (
    "The Paper Lighthouse",
    "Nine Spoons",
    "A Map of the Attic",
    "Captain Gravel",
    "The Clockmaker's Goose",
    "Late Train to Nowhere",
    "Velvet Thunder III",
    "My Uncle, the Comet",
)
ASPECTS = (
    "plot",
    "acting",
    "music",
    "camera work",
    "dialogue",
    "ending",
    "opening scene",
    "cast",
    "script",
    "pace",
    "humour",
    "goose",
)
PRAISE = (
    "brilliant",
    "touching",
    "superb",
    "clever",
    "gripping",
    "delightful",
    "fresh",
    "convincing",
)
BLAME = (
    "dull",
    "clumsy",
    "awful",
    "predictable",
    "wooden",
    "tedious",
    "muddled",
    "lazy",
)
OPINIONS = (
    "The {aspect} was {adjective}.",
    "I found the {aspect} {adjective}.",
    "Everyone around me called the {aspect} {adjective}, and so do I.",
    "What a {adjective} piece of work the {aspect} is!",
)
NEGATED_OPINIONS = (
    "The {aspect} was anything but {adjective}.",
    "I would not call the {aspect} {adjective}.",
    "They say the {aspect} is {adjective}; it is not.",
)
ASIDES = (
    "This review was put together by a program.",
    "I saw {film} on a rainy {day} in row {row}.",
    "Some call it brilliant, some call it dull.",
    "It runs for {minutes} minutes.<br /><br />",
    "My neighbour has seen it {row} times.",
    "Bring a cushion.",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NEGATION_PROBABILITY = 0.2
AGREEMENT_PROBABILITY = 0.75


def sample_reviews(num_reviews, seed=0):
    """Returns generated reviews and their labels, half of them positive.

    A review contains an odd number of opinions between asides, and its label is
    the majority of its opinions. Opinions may be negated ("anything but dull" is
    praise), and about a quarter of them disagree with the rest. Counting single
    words therefore classifies many reviews correctly, but not all.

    Args:
        num_reviews: Number of reviews.
        seed: Integer. Defaults to `0`.

    Returns:
        A tuple `(texts, labels)`: a list of `bytes`, and a list of 0 (negative)
        and 1 (positive).
    """
    # Seeded by an integer, this generator gives the same numbers everywhere.
    rng = random.Random(seed)
    labels = [index % 2 for index in range(num_reviews)]
    rng.shuffle(labels)
    return [_review(rng, bool(label)).encode() for label in labels], labels


def _review(rng, positive):
    film = rng.choice(FILMS)
    num_opinions = rng.choice((3, 5, 7, 9, 13, 19))
    num_agreeing = max(
        num_opinions // 2 + 1,
        sum(rng.random() < AGREEMENT_PROBABILITY for _ in range(num_opinions)),
    )
    agrees = [index < num_agreeing for index in range(num_opinions)]
    rng.shuffle(agrees)
    sentences = []
    for agreeing in agrees:
        sentences.append(_opinion(rng, praise=positive == agreeing))
        if rng.random() < 0.3:
            aside = rng.choice(ASIDES)
            sentences.append(
                aside.format(
                    film=film,
                    day=rng.choice(DAYS),
                    row=rng.randint(2, 30),
                    minutes=rng.randint(61, 199),
                )
            )
    return f"{film}. " + " ".join(sentences)


def _opinion(rng, praise):
    negated = rng.random() < NEGATION_PROBABILITY
    template = rng.choice(NEGATED_OPINIONS if negated else OPINIONS)
    adjectives = PRAISE if praise != negated else BLAME
    return template.format(aspect=rng.choice(ASPECTS), adjective=rng.choice(adjectives))
