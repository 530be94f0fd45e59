"""How attention stays exact where a layer computes in 16 bits."""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable(package="keras_attn")
class WidePolicy(keras.dtype_policies.DTypePolicy):
    """Computes in float32 with weights of the 16-bit dtype that it is named for.

    Keras has policies for wide weights and narrow computations ("mixed_float16"), but none for
    the opposite, which is what a gate needs under the policies "float16" and "bfloat16".
    """

    @property
    def compute_dtype(self) -> str:
        """Always float32."""
        return "float32"
