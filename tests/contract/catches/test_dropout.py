"""The checks of dropout fail on wrong dropout."""

import pytest
from keras import ops

from keras_twa.testing import checks
from tests.contract.catches.faults import Broken
from tests.contract.catches.faults import HasAWrongInputGradient
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class NeverDrops(Broken):
    def before(self, arguments):
        arguments["training"] = False


class DropsAtInference(Broken):
    def before(self, arguments):
        arguments["training"] = self.dropout > 0


class DropsTheOutputInstead(Broken):
    """Scales kept outputs as if nothing had been dropped."""

    def after(self, result, arguments):
        return ops.multiply(result, 0.7) if arguments["training"] else result


class DropsTheSameEveryStep(Broken):
    def before(self, arguments):
        state = [v for v in self.variables if "seed" in v.path]
        for variable in state:
            variable.assign(ops.full(variable.shape, 3, dtype=variable.dtype))


@pytest.mark.parametrize(
    "layer",
    [NeverDrops, DropsAtInference, DropsTheOutputInstead, DropsTheSameEveryStep],
)
def test_dropout(layer):
    assert rejects(checks.dropout_is_sound, layer)


@pytest.mark.parametrize("layer", [NeverDrops, DropsTheOutputInstead])
def test_dropped_weights(layer):
    assert rejects(checks.dropout_drops_whole_weights, layer)


def test_dropout_gradient():
    assert rejects(checks.dropout_has_its_own_gradient, HasAWrongInputGradient)
