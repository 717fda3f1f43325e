"""Messages about packages that extras bring."""

import pytest

from keras_twa import extras


def test_a_missing_package_is_to_be_installed():
    error = ModuleNotFoundError("No module named 'a.b'", name="a.b")
    message = extras.explain(error, "The search", "a", "tuner")
    assert message == (
        'The search needs a, which is not installed: `pip install "keras-twa[tuner]"`. '
        "Received: No module named 'a.b'"
    )


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'six'", name="six"),
        ImportError("cannot import name 'x' from 'a'", name="a"),
        ImportError("a library is missing"),
    ],
)
def test_a_package_that_is_there_is_not_to_be_installed_again(error):
    message = extras.explain(error, "The search", "a", "tuner")
    assert "installed but cannot be imported" in message
    assert "pip install" not in message
    assert message.endswith(f"Received: {error}")
