"""How many channels a bottleneck has."""

from __future__ import annotations

from keras_attn.typing import Shape


def bottleneck_width(
    channels: int,
    ratio: int,
    input_shape: Shape,
    *,
    name: str = "ratio",
    divisor: int = 1,
    least_share: float = 0.0,
) -> int:
    """The papers' `channels // ratio`, or timm's rounding of `channels / ratio`.

    Args:
        channels: Number of input channels.
        ratio: Positive integer.
        input_shape: Shape of the input, for the error.
        name: Name of the ratio's argument, for the error.
        divisor: 1 rounds down. Otherwise the width is the nearest multiple of `divisor` (halves
            go up) and at least one of it.
        least_share: With a `divisor`, one more multiple is taken where rounding leaves less than
            this share of `channels / ratio`.

    Returns:
        A positive integer.

    Raises:
        ValueError: If there would be no channel.
    """
    if divisor > 1:
        exact = channels / ratio
        width = max(divisor, int(exact + divisor / 2) // divisor * divisor)
        return width + divisor if width < least_share * exact else width
    width = channels // ratio
    if width == 0:
        raise ValueError(
            f"`{name}` must not be greater than the number of input channels, as the bottleneck "
            f"has `channels // {name}` of them. Received: {name}={ratio}, "
            f"channels={channels}, input_shape={tuple(input_shape)}"
        )
    return width
