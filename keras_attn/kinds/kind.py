"""What a kind of attention is, and the places in a block where attention can stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import keras

Size: TypeAlias = tuple[int | None, int | None]

# In a residual block, y = x + branch(x): the names of Hu et al., CVPR 2018, section 6.5.
#   "standard"     at the end of the branch, before the sum
#   "pre"          before the branch
#   "post"         behind the sum and its ReLU: behind the block
#   "identity"     on the shortcut
#   "3x3"          behind the branch's only 3x3 convolution, its BatchNormalization and its ReLU
#   "convolution"  instead of the branch's spatial convolution
Placement: TypeAlias = Literal["standard", "pre", "post", "identity", "3x3", "convolution"]
PLACEMENTS: tuple[str, ...] = get_args(Placement)


@dataclass(frozen=True)
class Kind:
    """A kind of attention that has a name.

    Attributes:
        layer: Its layer.
        placement: Where it stands in a residual block, one of `PLACEMENTS`.
        source: Whence the place.
        arguments: The layer's arguments for C channels and a map of H x W, which may be unknown,
            and for the kind's own `options`.
        blocks: Which of a stage's blocks have it by default: `"all"`, `"first"`, `"last"` or
            `"last_but_one"`.
        stages: Which of a network's stages have it by default, as the ends of a slice of them.
        options: Names of what `arguments` takes besides channels and size. All other options are
            arguments of the layer.
        has_norm: Whether a BatchNormalization and a ReLU are inside, so that none follow where it
            stands instead of a convolution.
        has_convolution: Whether the convolution that it replaces is inside, so that it bears the
            convolution's name.
        paper: The paper and its address, where they aren't the first of its layer's docstring.
    """

    layer: type[keras.layers.Layer]
    placement: Placement
    source: str
    arguments: Callable[..., Mapping[str, Any]] = lambda channels, size: {}
    blocks: str = "all"
    stages: tuple[int | None, int | None] = (None, None)
    options: tuple[str, ...] = ()
    has_norm: bool = False
    has_convolution: bool = False
    paper: tuple[str, str] | None = None

    def layer_arguments(self, channels: int, size: Size, **options: Any) -> dict[str, Any]:
        """The layer's arguments.

        Args:
            channels: C of the map that it makes.
            size: (H, W) of the map that it takes, where known.
            **options: The kind's own options, and arguments of the layer, which come first.
        """
        own = {key: options.pop(key) for key in self.options if key in options}
        return {**self.arguments(channels, size, **own), **options}
