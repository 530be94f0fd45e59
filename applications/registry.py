"""Every network by its name, for the command line and for tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_attn.applications.cifar_resnet import CIFARResNet
from keras_attn.applications.residual_attention_cifar import VARIANTS, ResidualAttentionCIFAR


@dataclass(frozen=True)
class Entry:
    """A network that can be asked for by name.

    Attributes:
        construct: Its constructor.
        arguments: What the name fixes of the constructor's arguments.
        input_size: Side of the default input, in pixels.
        source: Paper and section, or the authors' file.
    """

    construct: Callable[..., keras.Model]
    input_size: int
    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, **kwargs: Any) -> keras.Model:
        """Constructs the network; keyword arguments as its constructor's."""
        return self.construct(**{**self.arguments, **kwargs})


_RESNET = "He et al., CVPR 2016, section 4.2"
_SOURCES = {
    None: _RESNET,
    "se": f"Hu et al., CVPR 2018, on {_RESNET}",
    "aa": f"Bello et al., ICCV 2019, on {_RESNET}",
}

MODELS: dict[str, Entry] = {
    **{
        f"{attention + '_' if attention else ''}resnet{depth}_cifar": Entry(
            CIFARResNet, 32, source, {"depth": depth, "attention": attention}
        )
        for attention, source in _SOURCES.items()
        for depth in (20, 32, 44, 56, 110)
    },
    **{
        f"residual_attention{depth}_cifar": Entry(
            ResidualAttentionCIFAR, 32, "Wang et al., CVPR 2017, section 4.1", {"depth": depth}
        )
        for depth in VARIANTS
    },
}


def get_model(name: str) -> Entry:
    """Finds a network by its name.

    Args:
        name: A key of `MODELS`.

    Returns:
        Its entry, which is called as its constructor is.

    Raises:
        ValueError: If there is no such network; the message lists all.

    Example:

    >>> get_model("se_resnet20_cifar")(classes=7).output_shape
    (None, 7)
    """
    if name not in MODELS:
        raise ValueError(f"`model` must be one of {', '.join(MODELS)}. Received: model={name!r}")
    return MODELS[name]
