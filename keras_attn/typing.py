"""Names for the types that signatures speak of.

They import `keras` only, so that a layer may use them on every backend.

Example:

>>> from keras_attn.typing import Shape, Tensor
>>> def call(self, inputs: Tensor) -> Tensor: ...
>>> def compute_output_shape(self, input_shape: Shape) -> Shape: ...
"""

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A backend's tensor, or a `keras.KerasTensor`. Keras has no type that holds both."""

Size: TypeAlias = Any
"""One side of a shape: an integer, or a scalar tensor where only a run of the graph knows it."""

Shape: TypeAlias = tuple[int | None, ...]
"""A shape with `None` for each side that isn't known, the batch's among them."""

Initializer: TypeAlias = Any
"""What `keras.initializers.get` takes: a name, a configuration, an object or a function."""

Regularizer: TypeAlias = Any
"""What `keras.regularizers.get` takes, `None` for none."""

Constraint: TypeAlias = Any
"""What `keras.constraints.get` takes, `None` for none."""

Activation: TypeAlias = Any
"""What `keras.activations.get` takes, `None` for none."""
