"""Generated images of shapes: clearly not photographs, never downloaded."""

import numpy as np

SIZE = 32
# A class is one of these, filled with stripes of one direction.
SHAPES = ("disc", "square")
DIRECTIONS = 5


def sample_images(num_images, seed=0):
    """Returns images of striped discs and squares, and their classes.

    The class is the shape and the direction of its stripes: `5 * shape + direction`.
    Place, size, colours, noise, and the width and phase of the stripes are random, so
    that no single pixel reveals the class.

    Args:
        num_images: Number of images.
        seed: Integer, or a tuple of integers. Defaults to `0`.

    Returns:
        A tuple `(images, labels)` of `uint8` `(images, 32, 32, 3)` and `int32`
        `(images,)`, with all classes about equally frequent.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(num_images) % (len(SHAPES) * DIRECTIONS))

    def draw(low, high, *shape):
        return rng.uniform(low, high, (num_images, *(shape or (1, 1))))

    places = np.arange(SIZE)
    radius = draw(8, 12)
    x, y = (places - draw(12, 20), places[:, None] - draw(12, 20))
    square = np.maximum(abs(x), abs(y)) < 0.89 * radius
    disc = np.hypot(x, y) < radius
    shape, direction = np.divmod(labels, DIRECTIONS)
    inside = np.where(shape[:, None, None] == SHAPES.index("square"), square, disc)
    angle = np.pi / DIRECTIONS * direction[:, None, None]
    along = x * np.cos(angle) + y * np.sin(angle)
    waves = np.sin(2 * np.pi * (along / draw(4, 7) + draw(0, 1))) > 0
    first, second, ground = (draw(0, 1, 1, 1, 3) for _ in range(3))
    # Stripes of similar colours would have no visible direction.
    alike = abs(first - second).sum(-1, keepdims=True) < 0.8
    second = np.where(alike, (first + 0.5) % 1, second)
    stripes = np.where(waves[..., None], first, second)
    images = np.where(inside[..., None], stripes, ground)
    images += rng.normal(0, 0.05, images.shape)
    return (255 * np.clip(images, 0, 1)).astype("uint8"), labels.astype("int32")
