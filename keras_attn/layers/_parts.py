"""What layers that are made of other layers owe to these: to freeze them, and to keep them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from keras_attn._keras import parts_of
from keras_attn.layers._empty import AnyBatch


@keras.saving.register_keras_serializable(package="keras_attn")
class PolicyOfParts(keras.dtype_policies.DTypePolicy):
    """A layer's policy, and which of its parts are quantized: for `get_config` alone.

    Args:
        name: Name of the layer's own policy.
        parts: Name of a part -> its mode of quantization, and Keras's configuration of it.
    """

    def __init__(self, name: str, parts: Mapping[str, Any]) -> None:
        super().__init__(name)
        self.parts = dict(parts)

    @property
    def quantization_mode(self) -> str:
        """The first part's; Keras replaces a policy that has none by its name."""
        return next(str(mode) for mode, _ in self.parts.values())

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name, "parts": self.parts}


class LayerOfParts(AnyBatch):
    """Base of the layers that are made of layers, which Keras doesn't see to once they are built.

    - `trainable = False` reaches the parts that there are: of a layer that is frozen before it is
      built, or made so from a config, the parts would train. Here they are frozen with it;
      a part that is frozen alone stays so.
    - `quantize` changes the parts' weights: a layer made from its config wouldn't have such ones.
      Here `dtype` says so.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        policy = kwargs.get("dtype")
        if isinstance(policy, dict):  # as Keras's `Wrapper.from_config` leaves it
            policy = kwargs["dtype"] = keras.dtype_policies.deserialize(policy)
        quantized: Mapping[str, Any] = {}
        if isinstance(policy, PolicyOfParts):
            quantized, kwargs["dtype"] = policy.parts, policy.name
        super().__init__(*args, **kwargs)
        self._quantized_in_config = quantized

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _then_keeping(cls.build)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config: dict[str, Any] = super().get_config()
        quantized = {
            name: (
                part.quantization_mode,
                keras.saving.serialize_keras_object(getattr(part, "quantization_config", None)),
            )
            for name, part in _parts(self)
            if part.quantization_mode is not None
        }
        quantized = quantized or dict(self._quantized_in_config)
        if quantized:
            policy = PolicyOfParts(self.dtype_policy.name, quantized)
            config["dtype"] = keras.dtype_policies.serialize(policy)
        return config


def _then_keeping(build: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(build)
    def build_and_keep(self: Any, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        for name, part in list(_parts(self)) if self._quantized_in_config else []:
            mode, config = self._quantized_in_config.get(name, (None, None))
            if mode is not None and part.quantization_mode is None:
                part.quantize(mode, config=keras.saving.deserialize_keras_object(config))
        for _, part in [] if self.trainable else list(_parts(self)):
            part.trainable = False

    return build_and_keep


def _parts(layer: keras.layers.Layer, prefix: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """The parts and their parts, by names within the layer."""
    for part in parts_of(layer):
        name = f"{prefix}{part.name}"
        yield name, part
        yield from _parts(part, f"{name}/")
