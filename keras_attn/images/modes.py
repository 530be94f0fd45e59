"""From what Pillow decoded to 8 bits of red, green and blue, as TensorFlow's decoders have them.

An exported network decodes files with TensorFlow's operations. Where Pillow's own conversion
differs from those, theirs is the rule, as a server has nothing else.
"""

from typing import Any

import numpy as np

from keras_attn.images.pillow import import_pillow

WHITE_IS_ZERO = 0  # of the tag PhotometricInterpretation
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262


def to_rgb(picture: Any) -> Any:
    """Converts a picture that was read from a file to RGB.

    - Numbers of 16 bits keep their high byte.
    - Transparency is left out: the colours beneath it count. In a GIF, which has none beneath,
      what is transparent is black.
    - A CMYK JPEG is inverted only where it says that Adobe wrote it.

    Args:
        picture: A `PIL.Image.Image` as `PIL.Image.open` gives it.

    Returns:
        A `PIL.Image.Image` of mode RGB.

    Raises:
        ValueError: If pixels have no known range.
    """
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_numbers(picture)
    if picture.format == "GIF" and "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        rgb = rgba.convert("RGB")
        rgb.paste((0, 0, 0), mask=rgba.getchannel("A").point(lambda alpha: 255 * (alpha == 0)))
        return rgb
    if picture.mode == "CMYK" and picture.format == "JPEG" and "adobe" not in picture.info:
        # Pillow takes Adobe's inverted numbers for granted.
        return picture.point(lambda ink: 255 - ink).convert("RGB")
    picture.load()
    picture.info.pop("transparency", None)  # of a palette: Pillow warns that it is left out
    return picture.convert("RGB")


def _from_numbers(picture: Any) -> Any:
    """Grey of more than 8 bits, or of floating point, as RGB."""
    numbers = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {})
    if picture.mode == "F":
        grey = _from_floats(numbers)
    else:
        bits = min((16, *tags.get(BITS_PER_SAMPLE, ())))
        if numbers.min() < 0 or numbers.max() >= 2**bits:
            raise ValueError(
                f"whole numbers must be of 0 to {2**bits - 1}, not of {numbers.min()} to "
                f"{numbers.max()}; save it with 8 or 16 bits"
            )
        grey = numbers >> (bits - 8)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        grey = 255 - grey
    return import_pillow().fromarray(grey.astype("uint8")).convert("RGB")


def _from_floats(numbers: np.ndarray) -> np.ndarray:
    """Numbers of 0 to 255, rounded. No file says another scale, and a guess may be wrong."""
    greatest = numbers.max()
    if not (
        numbers.min() >= 0 and (greatest == 0 or 1 < greatest <= 255)
    ):  # so that NaN is refused
        raise ValueError(
            "floating-point numbers must be pixels of 0 to 255, not of "
            f"{numbers.min():g} to {greatest:g}; save it with 8 or 16 bits"
        )
    return np.round(numbers)
