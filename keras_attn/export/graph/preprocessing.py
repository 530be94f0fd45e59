"""What must hold of a preprocessing for the network that is exported with it."""

import keras

from keras_attn.images import Preprocessing


def check_preprocessing(preprocessing: Preprocessing | None, model: keras.Model) -> None:
    """Raises ValueError where the preprocessing doesn't give what the network takes."""
    if preprocessing is None:
        return
    shape = tuple(model.inputs[0].shape[1:])
    size = preprocessing.size or (None, None)
    if any(None not in (a, b) and a != b for a, b in zip(size, shape[:2], strict=True)):
        raise ValueError(
            "`preprocessing.size` must be that of the network's images. "
            f"Received: size={size}, images of shape {shape}"
        )
    for name in ("mean", "std"):
        values = getattr(preprocessing, name)
        if values is not None and len(values) not in (1, shape[-1]):
            raise ValueError(
                f"`preprocessing.{name}` must have a value for each of {shape[-1]} channels. "
                f"Received: {name}={values}"
            )
