"""Every network by its name, for the command line and for tables: `networks.csv`, as objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

# Importing a family's module fills CONSTRUCTORS.
from keras_attn.applications import aa_resnet as aa_resnet
from keras_attn.applications import attention_resnet as attention_resnet
from keras_attn.applications import bn_inception as bn_inception
from keras_attn.applications import cifar_resnet as cifar_resnet
from keras_attn.applications import mobile as mobile
from keras_attn.applications import residual_attention as residual_attention
from keras_attn.applications import resnet as resnet
from keras_attn.applications import se_resnet as se_resnet
from keras_attn.applications import timm as timm
from keras_attn.applications import wide_resnet as wide_resnet
from keras_attn.applications.common.names import (
    LOOKING,
    NETWORKS,
    Network,
    network_name,
    trained_name,
)
from keras_attn.applications.common.network import CONSTRUCTORS
from keras_attn.applications.common.published import Published as Published
from keras_attn.applications.common.published import printed_value as printed_value
from keras_attn.applications.racnn import RACNN
from keras_attn.applications.recurrent_attention import RecurrentAttention


@dataclass(frozen=True)
class Entry:
    """A network that can be asked for by name.

    Attributes:
        construct: Its constructor.
        input_size: Side of the default input, in pixels.
        source: Paper and section, or the authors' file.
        arguments: The constructor's arguments that the name fixes.
        published: Numbers to compare with, only such as were read and not recalled.
    """

    construct: Callable[..., keras.Model]
    input_size: int
    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    published: Published | None = None

    def __call__(self, **kwargs: Any) -> keras.Model:
        """Constructs the network; keyword arguments as its constructor's."""
        return self.construct(**{**self.arguments, **kwargs})


def _entry(network: Network) -> Entry:
    construct, images = CONSTRUCTORS[network.constructor]
    return Entry(construct, images.size, network.source, network.arguments, network.published)


MODELS: dict[str, Entry] = {name: _entry(network) for name, network in NETWORKS.items()}


def _racnn(
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    include_preprocessing: bool = False,
    backbone: str = "resnet20_cifar",
    **options: Any,
) -> keras.Model:
    """RA-CNN on a network of the table."""
    network = MODELS[network_name(backbone)](
        include_top=False, include_preprocessing=include_preprocessing, input_shape=input_shape
    )
    return RACNN(network, classes, input_shape=input_shape, **options)


_LOOKING = {
    "recurrent_attention": Entry(
        RecurrentAttention, LOOKING["recurrent_attention"], "Mnih et al., NIPS 2014"
    ),
    "racnn": Entry(_racnn, LOOKING["racnn"], "Fu et al., CVPR 2017"),
}


def get_model(name: str) -> Entry:
    """Finds a network by its name.

    Args:
        name: A key of `MODELS`; `"SEResNet50"` means `"se_resnet50"`. Or `"recurrent_attention"`
            or `"racnn"`, which choose where to look: the latter takes a key of `MODELS` as its
            `backbone`.

    Returns:
        Its entry, which is called as its constructor is.

    Raises:
        ValueError: If there is no such network; the message has the names nearest to it.

    Example:

    >>> get_model("se_resnet20_cifar")(classes=7).output_shape
    (None, 7)
    """
    found = trained_name(name)
    return _LOOKING[found] if found in _LOOKING else MODELS[found]
