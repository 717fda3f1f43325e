"""The reviews of a small `aclImdb`."""

NUM_PER_CLASS = 40


def review(split, name, number):
    stars = "\N{BLACK STAR}" * (number % 3)
    # TensorFlow Datasets strips white space, so there is none at the end.
    return f"{split} {name} {number} caf\u00e9\r\n{stars}<br />".encode()


def members():
    for split in ("test", "train"):
        for name in ("pos", "neg", "unsup"):
            for number in range(NUM_PER_CLASS):
                path = f"aclImdb/{split}/{name}/{number}_7.txt"
                yield path, review(split, name, number)
    yield "aclImdb/README", b"read me"
    yield "aclImdb/train/pos/urls.dat", b"no review"
    yield "aclImdb/train/pos/._1_7.txt", b"no review either"
