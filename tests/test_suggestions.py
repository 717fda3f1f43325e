"""Unknown names: what is suggested, wherever a name is taken."""

import pytest

from keras_twa import layers
from keras_twa.layers import positions
from keras_twa.layers.temporal_functions import get_temporal_function
from keras_twa.tasks.settings import check_choice


@pytest.mark.parametrize("layer", layers.ATTENTION_LAYERS)
def test_the_name_of_a_class_suggests_its_short_name(layer):
    name = layers.name_of(layer)
    for wrong in (
        layer.__name__,
        f"keras_twa.layers.{layer.__name__}",
        name.replace("_", "-").upper() + " ",
        layer.__name__.lower() + "s",
    ):
        with pytest.raises(ValueError, match=f"Did you mean '{name}'\\?"):
            layers.get(wrong)
        with pytest.raises(ValueError, match=f"Did you mean '{name}'"):
            check_choice(
                "attention", wrong, map(layers.name_of, layers.ATTENTION_LAYERS)
            )


@pytest.mark.parametrize(
    ("wrong", "name"),
    [("retentoin", "retention"), ("Gravitation", "gravitational"), ("RWKV-7", "rwkv")],
)
def test_typing_mistakes_are_recognised(wrong, name):
    with pytest.raises(ValueError, match=f"Did you mean '{name}'"):
        layers.get(wrong)


@pytest.mark.parametrize("wrong", ["", "zebra", None, 3, ["zebra"]])
def test_what_is_close_to_nothing_gets_the_list(wrong):
    with pytest.raises(ValueError, match="The choices are") as error:
        layers.get(wrong)
    assert "Did you mean" not in str(error.value)


def test_positions_and_functions_are_suggested_in_the_same_way():
    with pytest.raises(ValueError, match="Did you mean 'rotary'"):
        positions.get("RotaryPositions")
    with pytest.raises(ValueError, match="Did you mean 'alibi'"):
        positions.get("ALiBi")
    with pytest.raises(ValueError, match="Did you mean 'sinusoidal'"):
        get_temporal_function("Sinusoidal-Function", 2)
    with pytest.raises(ValueError, match="must be a callable"):
        get_temporal_function(["linear"], 2)
