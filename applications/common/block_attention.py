"""Any kind of attention in the blocks of the residual networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras import layers

from keras_attn.applications.common.blocks import channel_axis
from keras_attn.applications.common.residual_network import Block, BlockAttention
from keras_attn.insertion import (
    KINDS,
    Kind,
    attention_name,
    check_attention,
    copy_layer,
    kind_of,
    make_attention,
)
from keras_attn.layers import SelectiveKernel

# Of `Kind.place`, the place among a block's `PLACES`.
PLACES_OF_KINDS = {"branch": "standard", "block": "post"}


class AttentionInBlocks(BlockAttention):
    """An attention by name, copies of a layer, or what a function gives for each block.

    Where a kind stands in a block, and by default in which blocks, is in
    `keras_attn.insertion.KINDS`. A layer of a class that isn't there stands at the end of each
    branch. What stands instead of the 3x3 convolution has its filters, strides and groups, and the
    BatchNormalization and ReLU behind it, which `SelectiveKernel` has inside; where it can't
    stride, a 2x2 average pool follows, as in BoTNet.

    Args:
        attention: A key of `KINDS`, a layer, or a function of stage and block, both from 1 on,
            that gives either or `None`. Each block has a copy of a layer: the configuration, and
            weights and initializers of its own.
        sides: Side of each stage's map, for networks of unknown size: the tables of relative
            positions are made for it.
        stages: The stages that have attention; `None` leaves it to the kind.
        arguments: Arguments of a layer by name.
        placement: Of a gate, the place among a block's `PLACES`; `None` leaves it to the kind.
    """

    def __init__(
        self,
        attention: Any,
        sides: Mapping[int, int],
        stages: Sequence[int] | None = None,
        arguments: Mapping[str, Any] | None = None,
        placement: str | None = None,
    ) -> None:
        check_attention(attention)
        self.attention = attention
        self.sides = sides
        self.stages = None if stages is None else tuple(stages)
        self.arguments = dict(arguments or {})
        self.placement = placement
        self._given: dict[Block, Any] = {}

    def gate(self, x: Any, place: str, block: Block) -> Any:
        """Puts the attention on `x`, if it stands here."""
        attention, kind = self._here(block)
        where = PLACES_OF_KINDS.get("branch" if kind is None else kind.place)
        if where is not None and self.placement is not None:
            where = self.placement
        if attention is None or where != place:
            return x
        return self._make(attention, x, x.shape[channel_axis()], block)(x)

    def convolution(
        self, x: Any, filters: int, *, strides: int, groups: int, block: Block, index: int
    ) -> Any:
        """The attention instead of the convolution, if it stands here."""
        attention, kind = self._here(block)
        if kind is None or kind.place != "convolution":
            return super().convolution(
                x, filters, strides=strides, groups=groups, block=block, index=index
            )
        layer = self._make(attention, x, filters, block, strides)
        config = layer.get_config()
        own = {"filters": filters, "strides": strides}
        if isinstance(attention, str):
            own["groups"] = groups
        changes: dict[str, Any] = {key: own[key] for key in own if key in config}
        if "table_size" in config and config["table_size"] is None and None in x.shape[1:]:
            pooled = 1 if "strides" in config else strides  # the tables are for what it attends to
            changes["table_size"] = self.sides[block.stage] * pooled
        layer = copy_layer(layer, name=layer.name, **changes)
        x = layer(x)
        if strides > 1 and "strides" not in config:
            x = layers.AveragePooling2D(2, strides, "same", name=f"{layer.name}_pool")(x)
        if isinstance(layer, SelectiveKernel):
            return x
        return self._norm_relu(x, block, index)

    def _here(self, block: Block) -> tuple[Any, Kind | None]:
        """What stands in this block, and its kind; `None` for nothing, and for an unknown kind."""
        if self.stages is not None and block.stage not in self.stages:
            return None, None
        attention = self.attention
        is_function = attention_name(attention) == "attention" and callable(attention)
        if is_function:
            if block not in self._given:
                self._given[block] = attention(block.stage, block.number)
                check_attention(self._given[block], none=True)
            attention = self._given[block]
        if attention is None:
            return None, None
        kind = KINDS[attention] if isinstance(attention, str) else kind_of(attention)
        if not is_function and kind is not None and not self._by_default(kind, block):
            return None, None
        return attention, kind

    def _by_default(self, kind: Kind, block: Block) -> bool:
        numbers = {"first": 1, "last": block.of, "last_but_one": max(1, block.of - 1)}
        if numbers.get(kind.blocks, block.number) != block.number:
            return False
        return self.stages is not None or block.stage in sorted(self.sides)[slice(*kind.stages)]

    def _make(self, attention: Any, x: Any, channels: int, block: Block, strides: int = 1) -> Any:
        height, width = x.shape[1:3] if channel_axis() == -1 else x.shape[2:4]
        side = self.sides[block.stage] * strides
        return make_attention(
            attention,
            channels,
            (height or side, width or side),
            name=f"{block.prefix}_{attention_name(attention)}",
            **(self.arguments if isinstance(attention, str) else {}),
        )
