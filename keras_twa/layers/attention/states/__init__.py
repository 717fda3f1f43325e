"""The states that attention layers pass from one call to the next."""

from keras_twa.layers.attention.states.input_memory import InputMemory
from keras_twa.layers.attention.states.key_value_cache import KeyValueCache
from keras_twa.layers.attention.states.recurrent_state import RecurrentState
from keras_twa.layers.attention.states.state import Slot
from keras_twa.layers.attention.states.state import State
from keras_twa.layers.attention.states.window_cache import WindowCache

__all__ = [
    "InputMemory",
    "KeyValueCache",
    "RecurrentState",
    "Slot",
    "State",
    "WindowCache",
]
