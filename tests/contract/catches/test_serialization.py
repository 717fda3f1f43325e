"""The checks of configs and files fail if something gets lost."""

import keras
import pytest
from keras import ops

from keras_twa.testing import checks
from tests.contract.catches.faults import Broken
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class LosesDropout(Broken):
    def get_config(self):
        config = super().get_config()
        config["dropout"] = 0.0
        return config


class OmitsUseBias(Broken):
    def get_config(self):
        config = super().get_config()
        del config["use_bias"]
        return config


class LosesAWeight(Broken):
    def load_own_variables(self, store):
        """Load nothing."""

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.shift = self.add_weight(shape=(), initializer="zeros", name="shift")

    def after(self, result, arguments):
        return ops.add(result, self.shift)


@pytest.mark.parametrize("layer", [LosesDropout, OmitsUseBias])
def test_config(layer):
    assert rejects(checks.config_round_trips, layer)


def test_saving(tmp_path):
    broken = keras.saving.register_keras_serializable("tests")(LosesAWeight)
    assert rejects(checks.saves_and_loads, broken, tmp_path)
