"""Which attention stands where in a network: what is asked for, and each block's part of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import keras

from keras_attn.kinds.kind import PLACEMENTS, Kind, Placement
from keras_attn.kinds.making import (
    AttentionLike,
    attention_name,
    check_attention,
    copy_layer,
    kind_and_options,
    kind_of,
    make_attention,
)
from keras_attn.kinds.table import KINDS
from keras_attn.layers import AddCoordinates, SinusoidalPositionEncoding2D

# How self-attention knows where a pixel is: by tables of relative positions, not at all, by
# sinusoids that are added to its input, or by coordinates appended to that.
Positions: TypeAlias = Literal["relative", "none", "sinusoidal", "coordinates"]
_ENCODINGS: dict[str, Callable[..., keras.layers.Layer] | None] = {
    "relative": None,
    "none": None,
    "sinusoidal": SinusoidalPositionEncoding2D,
    "coordinates": AddCoordinates,
}


class Block(NamedTuple):
    """Where a block stands in its network.

    Attributes:
        stage: Its stage.
        number: Which of the stage's blocks it is, from 1 on.
        of: How many there are in the stage.
        side: Side of the map that its convolution makes, for an image of the default size: the
            tables of relative positions are made for it where the image's size is unknown.
    """

    stage: int
    number: int
    of: int = 1
    side: int = 1

    @property
    def prefix(self) -> str:
        """What the names of its layers begin with."""
        return f"stage{self.stage}_block{self.number}"


@dataclass(frozen=True)
class Places:
    """Where a network has room for attention, and what it has otherwise than others.

    Attributes:
        stages: The numbers of its stages.
        placements: Those of `PLACEMENTS` that its blocks have.
        usual: By a kind's name what the network has by default: options, and `"stages"`.
        infix: Text behind the block's in the names of attention, where the network has layers
            of such names itself.
    """

    stages: Sequence[int] = (1, 2, 3, 4)
    placements: Sequence[str] = PLACEMENTS
    usual: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    infix: str = ""


@dataclass(frozen=True)
class Attention:
    """The attention that a network is asked for.

    Where a kind stands, and by default in which blocks, is in `KINDS`. A layer of a class that
    isn't there stands at the end of each branch.

    Attributes:
        kind: `None`; a key of `KINDS`; such a key with options; a layer, of which each block has a
            copy with weights and initializers of its own; or a function of stage and block, both
            from 1 on, that gives one of these.
        stages: The stages that have attention; `None` leaves it to the network and the kind.
        placement: One of `PLACEMENTS`; `None` leaves it to the kind.
        options: Options of a kind by name: its own, arguments of its layer, `"positions"` and
            `"downsample"`, which halves the map's sides for attention in the first of the stages.
            Those that are `None` count as not given.
        places: The network's.

    Raises:
        ValueError: If there is no such kind, stage, placement or option.
    """

    kind: AttentionLike | None = None
    stages: Sequence[int] | None = None
    placement: Placement | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    places: Places = field(default_factory=Places)
    _placed: set[int] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_attention(self.kind, none=True)
        known = self.places.stages
        if self.stages is not None and not set(self.stages) <= set(known):
            raise ValueError(
                f"`stages` must hold stages from {min(known)} to {max(known)}. "
                f"Received: stages={self.stages!r}"
            )
        if self.placement is not None:
            self._check_placement()
        given = {key: value for key, value in self.options.items() if value is not None}
        name, options = kind_and_options(self.kind)
        usual = {key: value for key, value in self._usual.items() if key != "stages"}
        object.__setattr__(self, "options", {**usual, **given, **options})
        if isinstance(name, str):
            _check_options(name, self.options)
        elif self.kind is not None and given:
            raise ValueError(
                f"`{next(iter(given))}` is for attention by name; a layer has its own. "
                f"Received: attention={self.kind!r}"
            )

    @property
    def name(self) -> str | None:
        """What the network's name begins with; `None` without attention."""
        return None if self.kind is None else attention_name(self.kind)

    def everywhere(self, body: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A network's body, which fails where it left the attention out of a stage asked for.

        Args:
            body: Function of the image, which calls `within` for each of its blocks.
        """

        def checked(image: Any) -> Any:
            self._placed.clear()
            features = body(image)
            if isinstance(kind_and_options(self.kind)[0], str | keras.layers.Layer):
                self._check_placed()  # a function may leave out what it likes
            return features

        return checked

    def within(self, block: Block) -> AttentionInBlock:
        """What stands in a block."""
        nothing = AttentionInBlock(block)
        if self.kind is None or (self.stages is not None and block.stage not in self.stages):
            return nothing
        attention, options = kind_and_options(self.kind)
        is_function = not isinstance(attention, str | keras.layers.Layer)
        if is_function:
            chosen = attention(block.stage, block.number)
            check_attention(chosen, none=True)
            attention, options = kind_and_options(chosen)
        else:
            options = dict(self.options)
        if attention is None:
            return nothing
        kind = kind_of(attention)
        if not is_function and not self._stands_in(block, kind):
            return nothing
        if options.pop("downsample", False) and block.stage == min(self._stages_of(kind)):
            options["attention_strides"] = 2
        placement = self.placement or ("standard" if kind is None else kind.placement)
        if placement == "convolution" and (kind is None or kind.placement != placement):
            raise ValueError(
                "`placement` can be 'convolution' only for what makes a map of its own, such as "
                f"'aa', 'sk' or 'bot'. Received: attention={attention!r}"
            )
        return AttentionInBlock(
            block, attention, placement, options, is_function, self.places, self._placed
        )

    @property
    def _usual(self) -> Mapping[str, Any]:
        """What the network has by default for this kind."""
        name, _ = kind_and_options(self.kind)
        return self.places.usual.get(name, {}) if isinstance(name, str) else {}

    def _stages_of(self, kind: Kind | None) -> Sequence[int]:
        if self.stages is not None:
            return self.stages
        ends = (None, None) if kind is None else kind.stages
        return tuple(self._usual.get("stages", self.places.stages[slice(*ends)]))

    def _stands_in(self, block: Block, kind: Kind | None) -> bool:
        if kind is None:
            return True
        numbers = {"first": 1, "last": block.of, "last_but_one": max(1, block.of - 1)}
        right = numbers.get(kind.blocks, block.number) == block.number
        return right and block.stage in self._stages_of(kind)

    def _check_placed(self) -> None:
        empty = sorted(set(self.stages or ()) - self._placed)
        if empty or not self._placed:
            where = f"in stage {empty[0]}" if empty else "in any stage"
            raise ValueError(
                f"`stages` and `placement` must leave room for the attention, and {where} there is "
                f"none. Received: attention={self.kind!r}, stages={self.stages!r}, "
                f"placement={self.placement!r}"
            )

    def _check_placement(self) -> None:
        if self.placement not in PLACEMENTS:
            listed = ", ".join(map(repr, PLACEMENTS))
            raise ValueError(
                f"`placement` must be one of {listed}. Received: placement={self.placement!r}"
            )
        if self.placement not in self.places.placements:
            raise ValueError(
                f"`placement` can be {self.placement!r} only where a block has one such place. "
                f"Received: placement={self.placement!r} for a network that has "
                f"{', '.join(map(repr, self.places.placements))}"
            )


@dataclass(frozen=True)
class AttentionInBlock:
    """The attention of one block; its network calls this at each place that it has.

    Attributes:
        block: The block.
        attention: A key of `KINDS`, or a layer; `None` for nothing.
        placement: The one place where it stands.
        options: Options of a kind by name.
        by_function: Whether a function gave it, so that it has a name of its own in any case.
        places: The network's.
        placed: The stages that have attention so far.
    """

    block: Block
    attention: str | keras.layers.Layer | None = None
    placement: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    by_function: bool = False
    places: Places = field(default_factory=Places)
    placed: set[int] = field(default_factory=set)

    def __call__(self, x: Any, placement: Placement) -> Any:
        """Puts the attention on a map, if it stands at this place.

        Args:
            x: Tensor of shape (B, H, W, C).
            placement: The place.

        Returns:
            Tensor of x's shape.
        """
        if self.attention is None or self.placement != placement:
            return x
        channels = x.shape[-1 if _is_channels_last() else 1]
        return self._attended(x, channels, self._name, {})

    def convolution(
        self,
        x: Any,
        plain: Callable[..., Any],
        behind: Callable[[Any], Any],
        *,
        filters: int,
        name: str,
        kernel_size: int = 3,
        strides: int = 1,
        groups: int = 1,
    ) -> Any:
        """The block's spatial convolution and what follows it, or the attention instead of it.

        Where the attention can't stride, a 2x2 average pool follows, as in BoTNet.

        Args:
            x: Tensor of shape (B, H, W, C).
            plain: The convolution, a function of the map, filters and size of the kernel, and by
                name of strides and name.
            behind: The BatchNormalization and ReLU behind either.
            filters: Channels of the output.
            name: Name of the convolution.
            kernel_size: Size of its kernel.
            strides: Its strides.
            groups: Groups of what stands instead of it, where that has any.

        Returns:
            Tensor of shape (B, H / strides, W / strides, filters).
        """
        if self.attention is None or self.placement != "convolution":
            return behind(plain(x, filters, kernel_size, strides=strides, name=name))
        kind, by_name = kind_of(self.attention), isinstance(self.attention, str)
        wanted: dict[str, Any] = {"filters": filters, "strides": strides}
        if by_name:
            wanted["groups"] = groups
        keeps_name = False
        if kind is not None and kind.has_convolution and by_name:
            wanted["kernel_size"] = kernel_size
            keeps_name = not self.by_function
        own_name = name if keeps_name else self._name
        x = self._attended(x, filters, own_name, wanted)
        if strides > 1 and "strides" not in _takes(self.attention):
            x = keras.layers.AveragePooling2D(2, strides, "same", name=f"{own_name}_pool")(x)
        return x if kind is not None and kind.has_norm else behind(x)

    @property
    def _name(self) -> str:
        return f"{self.block.prefix}_{self.places.infix}{attention_name(self.attention)}"

    def _attended(self, x: Any, channels: int, name: str, wanted: Mapping[str, Any]) -> Any:
        """The layer's output, for the arguments of `wanted` that the layer has."""
        self.placed.add(self.block.stage)
        takes, options = _takes(self.attention), dict(self.options)
        encoding = _ENCODINGS[options.get("positions", "relative")]
        if "positions" in options:
            options["relative"] = options.pop("positions") == "relative"
        if encoding is not None:
            x = encoding(name=f"{name}_positions")(x)
        changes = {key: value for key, value in wanted.items() if key in takes}
        if None in x.shape[1:] and takes.get("table_size", "none") is None:
            side = self.block.side * (1 if "strides" in takes else wanted.get("strides", 1))
            pooled = options.get("attention_strides", 1)
            pooled = (pooled, pooled) if isinstance(pooled, int) else pooled
            changes["table_size"] = tuple(-(-side // each) for each in pooled)
        height, width = x.shape[1:3] if _is_channels_last() else x.shape[2:4]
        size = (height or self.block.side, width or self.block.side)
        if isinstance(self.attention, keras.layers.Layer):
            layer = copy_layer(self.attention, name=name, **changes)
        else:
            layer = make_attention(
                (self.attention, {**changes, **options}), channels, size, name=name
            )
        return layer(x)


def _is_channels_last() -> bool:
    return bool(keras.config.image_data_format() == "channels_last")


def _takes(attention: Any) -> dict[str, Any]:
    """The arguments of a kind's layer, or of a layer, with their values."""
    if isinstance(attention, keras.layers.Layer):
        return dict(attention.get_config())
    parameters = inspect.signature(KINDS[attention].layer.__init__).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raises if a kind has no such options."""
    kind, takes = KINDS[name], _takes(name)
    known = {*kind.options, *takes} - {"self", "kwargs", "name", "filters", "strides"}
    known |= {"positions"} if "relative" in takes else set()
    known |= {"downsample"} if "attention_strides" in takes else set()
    unknown = [key for key in options if key not in known]
    if unknown:
        raise ValueError(
            f"`{unknown[0]}` is no option of attention={name!r}, which has "
            f"{', '.join(sorted(known))}. Received: {unknown[0]}={options[unknown[0]]!r}"
        )
    positions = options.get("positions", "relative")
    if positions not in _ENCODINGS:
        listed = ", ".join(map(repr, _ENCODINGS))
        raise ValueError(f"`positions` must be one of {listed}. Received: positions={positions!r}")
