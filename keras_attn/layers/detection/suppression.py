"""Non-maximum suppression: of boxes at one place, the likeliest."""

from __future__ import annotations

from keras import ops

from keras_attn.typing import Tensor


def first_of_their_place(
    boxes: Tensor, scores: Tensor, most: int, iou_threshold: float
) -> tuple[Tensor, Tensor]:
    """Chooses boxes greedily: the likeliest that is left, of which those that cover it then go.

    Args:
        boxes: (B, N, 4): left, top, width, height.
        scores: (B, N); where it isn't above 0 a box is never chosen.
        most: Number M of boxes that are chosen at most.
        iou_threshold: Part of the union that two boxes may share.

    Returns:
        The boxes' numbers in the order of their choice, int32 (B, M), and whether there is one,
        bool (B, M); 0 where there isn't.
    """
    count = int(boxes.shape[1])

    def step(number: Tensor, so_far: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
        left, order, is_one = so_far
        best = ops.cast(ops.argmax(left, axis=1), "int32")  # (B,)
        found = ops.max(left, axis=1) > 0
        chosen = ops.take_along_axis(boxes, best[:, None, None], axis=1)  # (B, 1, 4)
        goes = iou(boxes, chosen) > iou_threshold
        itself = ops.one_hot(best, count, dtype=left.dtype) > 0
        left = ops.where(ops.logical_or(goes, itself), 0.0, left)
        here = ops.equal(ops.arange(most, dtype="int32"), ops.cast(number, "int32"))[None]  # (1, M)
        order = ops.where(ops.logical_and(here, found[:, None]), best[:, None], order)
        return left, order, ops.logical_or(is_one, ops.logical_and(here, found[:, None]))

    none = ops.zeros((ops.shape(scores)[0], most), "int32")
    start = (scores, none, none > 0)
    _, order, is_one = ops.fori_loop(0, most, step, start)
    return order, is_one


def iou(boxes: Tensor, other: Tensor) -> Tensor:
    """What boxes share with another, of their union: (B, N, 4) and (B, 1, 4) to (B, N)."""
    low = ops.maximum(boxes[..., :2], other[..., :2])
    high = ops.minimum(boxes[..., :2] + boxes[..., 2:], other[..., :2] + other[..., 2:])
    sides = ops.maximum(high - low, 0.0)
    shared = sides[..., 0] * sides[..., 1]
    areas = boxes[..., 2] * boxes[..., 3] + other[..., 2] * other[..., 3]
    return shared / ops.maximum(areas - shared, 1e-8)
