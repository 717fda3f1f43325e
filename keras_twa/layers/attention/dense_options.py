"""Initializers, regularizers and constraints of the dense sublayers."""

import keras


class DenseOptions:
    """The part of an attention layer that passes options on to its sublayers."""

    def _use_dense_options(self, of_kernel, of_bias):
        """Stores the initializers, regularizers and constraints of a constructor."""
        self.kernel_initializer = keras.initializers.get(of_kernel[0])
        self.kernel_regularizer = keras.regularizers.get(of_kernel[1])
        self.kernel_constraint = keras.constraints.get(of_kernel[2])
        self.bias_initializer = keras.initializers.get(of_bias[0])
        self.bias_regularizer = keras.regularizers.get(of_bias[1])
        self.bias_constraint = keras.constraints.get(of_bias[2])

    def _kernel_and_bias_options(self):
        return {
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "kernel_constraint": self.kernel_constraint,
            "bias_constraint": self.bias_constraint,
        }

    def _dense_options(self):
        options = self._kernel_and_bias_options()
        for name in ("kernel_initializer", "bias_initializer"):
            # A shared initializer would give all kernels the same values.
            options[name] = options[name].clone()
        return {**options, "dtype": self.dtype_policy}

    def _dense_config(self):
        return {
            name: keras.saving.serialize_keras_object(option)
            for name, option in self._kernel_and_bias_options().items()
        }
