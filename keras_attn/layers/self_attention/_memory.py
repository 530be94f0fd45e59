"""How much of an attention map is in memory at a time, in the layers that may take it in chunks."""

from __future__ import annotations

from keras_attn.layers.contract import MapTooLargeError
from keras_attn.layers.self_attention.chunked_attention import Chunk, chunk_within
from keras_attn.typing import Size

IMPLEMENTATIONS = ("auto", "full", "chunked", "fused")
# One head's map up to this size is kept whole by `implementation="auto"`: 22x22 in float32.
FULL_MAP_BYTES = 2**20
# The logits that are there at a time in chunks, and the map that `return_attention` may make.
DEFAULT_LOGITS_BYTES = 20 * 2**20
DEFAULT_MAP_BYTES = 2**30


def chosen_chunk(
    places: Size,
    num_heads: int,
    *,
    implementation: str,
    max_logits_bytes: int | None,
    logit_bytes: int,
) -> Chunk | None:
    """What is computed at a time, or `None` for the full map.

    Args:
        places: M, the number of queries and of keys, an int or a scalar int tensor.
        num_heads: The heads of one image.
        implementation: One of `IMPLEMENTATIONS`.
        max_logits_bytes: The logits that may be in memory at a time; `None` is 20 MiB.
        logit_bytes: Bytes of one logit.

    Raises:
        ValueError: If not even one query's logits fit.
    """
    known = isinstance(places, int)
    fits = known and places**2 * logit_bytes <= FULL_MAP_BYTES
    if implementation == "full" or (implementation != "chunked" and fits):
        return None
    logits = (max_logits_bytes or DEFAULT_LOGITS_BYTES) // logit_bytes
    if known and logits < places:
        raise ValueError(
            "`max_logits_bytes` must hold one query's logits, "
            f"{logit_bytes} * height * width bytes. "
            f"Received: max_logits_bytes={max_logits_bytes}, {places} places"
        )
    return chunk_within(logits, places, num_heads)


def check_map_size(
    size: tuple[Size, Size],
    num_heads: int,
    *,
    implementation: str,
    max_logits_bytes: int | None,
    logit_bytes: int,
) -> None:
    """Raises where one image's whole map would be over its bound.

    Args:
        size: (H, W), ints or scalar int tensors.
        num_heads: The heads of one image.
        implementation: One of `IMPLEMENTATIONS`.
        max_logits_bytes: The bound; `None` is 1 GiB.
        logit_bytes: Bytes of one logit.

    Raises:
        MapTooLargeError: If it would, and `implementation` isn't `"full"`.
    """
    height, width = size
    places = height * width
    if not isinstance(places, int) or implementation == "full":
        return
    needed = num_heads * places**2 * logit_bytes
    if needed > (max_logits_bytes or DEFAULT_MAP_BYTES):
        raise MapTooLargeError(
            f"`return_attention` makes the whole map, here {needed} bytes for each image. "
            "Where that is meant, allow it by `max_logits_bytes` or implementation='full'. "
            f"Received: return_attention=True, max_logits_bytes={max_logits_bytes}, "
            f"a map of {height}x{width} places"
        )
