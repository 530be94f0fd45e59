"""The attention modules of Residual Attention Networks, or their trunk alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from keras_attn._checks import check_one_of
from keras_attn.layers import AttentionModule
from keras_attn.layers.residual_attention.attention_module import UNITS
from keras_attn.typing import Tensor

MaskActivation: TypeAlias = Literal["mixed", "channel", "spatial"]
Learning: TypeAlias = Literal["residual", "naive"]


@dataclass(frozen=True)
class Modules:
    """How a network makes its attention modules.

    Attributes:
        mask_activation: Activation of the masks.
        masks: Whether there are masks; without them there are the units of the trunk.
        learning: How mask and trunk are put together.
        unit: `AttentionModule`'s name of the residual unit.
        p: Units before the trunk and behind it.
        t: Units of the trunk.
        options: Further arguments of `AttentionModule`.
    """

    mask_activation: MaskActivation
    masks: bool
    learning: Learning
    unit: str = "pre_activation"
    p: int = 1
    t: int = 2
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_one_of("mask_activation", self.mask_activation, get_args(MaskActivation))

    def __call__(self, x: Tensor, filters: int, mask_depth: int, name: str) -> Tensor:
        """Puts a module on a map (B, H, W, C); the output is (B, H, W, filters)."""
        if self.masks:
            return AttentionModule(
                mask_depth=mask_depth,
                p=self.p,
                t=self.t,
                attention=self.mask_activation,
                learning=self.learning,
                unit=self.unit,
                name=name,
                **self.options,
            )(x)
        for i in range(self.p + self.t + self.p):
            x = UNITS[self.unit](filters, name=f"{name}_unit{i + 1}")(x)
        return x
