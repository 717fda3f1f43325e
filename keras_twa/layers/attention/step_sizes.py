"""Decays of each step and head: a learned rate, and step sizes that inputs set."""

import numpy as np
from keras import ops

# Initially, the first head decays the slowest and the last one the fastest.
DECAY_RATES = (1.0, 16.0)
STEP_SIZES = (0.001, 0.1)


class StepSizes:
    """The part of a recurrent mechanism that computes decays as Mamba-2 does."""

    def _build_step_sizes(self):
        """Creates the weights, one number of each per head."""
        rates = np.linspace(*DECAY_RATES, self.num_heads)
        sizes = np.geomspace(*STEP_SIZES, self.num_heads)
        self.log_decay_rate = self._add("log_decay_rate", np.log(rates))
        # The inverse of softplus, so that softplus gives the step sizes.
        self.decay_bias = self._add("decay_bias", np.log(np.expm1(sizes)))

    def _step_sizes(self, logits):
        """The step sizes from their logits `(B, T, H, 1)`, in float32."""
        bias = ops.cast(self.decay_bias, "float32")[:, None]
        return ops.softplus(ops.cast(logits, "float32") + bias)

    def _log_decay(self, sizes):
        """The logarithms of the decays of steps of these sizes."""
        return sizes * -ops.exp(ops.cast(self.log_decay_rate, "float32"))[:, None]
