"""How a network remembers what belongs to its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras

from keras_attn.weights.metadata import Metadata


@keras.saving.register_keras_serializable(package="keras_attn")
class LevelMarker(keras.layers.Identity):
    """The end of a stage of a network; the first one remembers what its images are given as.

    A layer's configuration is what Keras keeps wherever a graph goes: into a `.keras` file, a
    clone, a network with another head. So it is here, and not an attribute of the model.

    Args:
        metadata: The weights' metadata, as `Metadata.as_dict` gives it, or `None`.
        normalisation: `range`, `mean` and `std`, as `Metadata` has them, of the network's own,
            where no weights say otherwise; or `None`.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(
        self,
        metadata: Mapping[str, Any] | None = None,
        *,
        normalisation: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.metadata = None if metadata is None else dict(metadata)
        self.normalisation = None if normalisation is None else dict(normalisation)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        kept = {"metadata": self.metadata, "normalisation": self.normalisation}
        copied = {key: None if value is None else dict(value) for key, value in kept.items()}
        return {**super().get_config(), **copied}


def get_metadata(model: keras.Model) -> Metadata | None:
    """What belongs to the weights that a network was constructed with.

    It stays with the network through saving and loading, and with a network that is built on it.

    Args:
        model: A network of `keras_attn.applications`, or one that has such a network in it.

    Returns:
        Where the weights are from, and how to give them images; `None` where nothing is known.

    Example:

    >>> model = keras_attn.applications.CIFARResNet(8)
    >>> print(keras_attn.weights.get_metadata(model))
    None
    """
    for marker in _markers(model):
        if marker.metadata is not None:
            return Metadata.from_dict(marker.metadata)
    return None


def set_metadata(model: keras.Model, metadata: Metadata | None) -> None:
    """Makes a network remember what belongs to its weights.

    Args:
        model: A network of `keras_attn.applications`, or one that has such a network in it.
        metadata: The metadata to remember; `None` forgets.

    Raises:
        ValueError: If the model has no stages of ours.

    Example:

    >>> model = keras_attn.applications.CIFARResNet(8)
    >>> mine = keras_attn.weights.Metadata("cats", "CIFARResNet", "trained here", size=32)
    >>> keras_attn.weights.set_metadata(model, mine)
    >>> keras_attn.weights.get_metadata(model).tag
    'cats'
    """
    marker = next(_markers(model), None)
    if marker is None:
        raise ValueError(
            "`model` must be a network of keras_attn.applications. "
            f"Received: model={model.name!r}, which has no layers P0, P1, ..."
        )
    marker.metadata = None if metadata is None else metadata.as_dict()


def get_normalisation(model: keras.Model) -> dict[str, Any] | None:
    """The `range`, `mean` and `std` that a network has of its own; `None` where it has none.

    Args:
        model: A network of `keras_attn.applications`, or one that has such a network in it.
    """
    for marker in _markers(model):
        if marker.normalisation is not None:
            return {key: tuple(value) for key, value in marker.normalisation.items()}
    return None


def set_normalisation(model: keras.Model, normalisation: Mapping[str, Any]) -> None:
    """Makes a network remember its own `range`, `mean` and `std`, where it has a stage of ours.

    Args:
        model: The network.
        normalisation: The three, as `Metadata` has them.
    """
    for marker in _markers(model):
        marker.normalisation = {key: list(value) for key, value in normalisation.items()}
        return


def _markers(model: Any) -> Iterator[LevelMarker]:
    for layer in model.layers:
        if isinstance(layer, LevelMarker):
            yield layer
        elif isinstance(layer, keras.Model):
            yield from _markers(layer)
        elif isinstance(layer, keras.layers.Wrapper) and isinstance(layer.layer, keras.Model):
            yield from _markers(layer.layer)
