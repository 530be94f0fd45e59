"""The augmentations by name, and their order."""

from collections.abc import Sequence

# Always applied in this order: first what moves the picture, then what changes its values, last
# what mixes one image with another. With both mixes, MixUp's images are those that CutMix cuts.
AUGMENTATIONS = (
    "random_resized_crop",
    "crop",
    "flip",
    "randaugment",
    "random_erasing",
    "mixup",
    "cutmix",
)


def check_augment(augment: Sequence[str]) -> tuple[str, ...]:
    """Puts names of augmentations into the order in which they are applied.

    Raises:
        ValueError: If `augment` is not a sequence of different names of `AUGMENTATIONS`.

    Example:
        >>> check_augment(["mixup", "crop"])
        ('crop', 'mixup')
    """
    rule = f"`augment` must be a sequence of names out of {', '.join(map(repr, AUGMENTATIONS))}"
    if isinstance(augment, str) or not isinstance(augment, Sequence):
        raise ValueError(f"{rule}. Received: augment={augment!r}")
    for name in augment:
        if name not in AUGMENTATIONS:
            raise ValueError(f"{rule}. Received: augment={augment!r}, in which {name!r} is none")
    if len(set(augment)) < len(augment):
        raise ValueError(f"{rule}, each once. Received: augment={augment!r}")
    return tuple(name for name in AUGMENTATIONS if name in augment)
