"""Pictures of attention over an image, with NumPy and Pillow alone."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Low to high, evenly spaced, of steadily rising lightness (CIE L* 13 to 90), so that it reads in
# grey and by the colour-blind: dark blue, blue, teal, green, yellow.
RAMP = np.array(
    [[26, 28, 84], [38, 78, 138], [24, 130, 142], [72, 181, 122], [250, 226, 70]], "float64"
)
PANEL = 288  # the least length of a panel's longer side, in pixels
GAP = 16
HEADER = 52
FOOTER = 32
BAR_WIDTH = 18
BAR_TEXT = 64
OPACITY = 0.6  # of the colours over the image
PAPER = (255, 255, 255)
INK = (32, 32, 36)
GREY = (110, 110, 118)


def mask_heat(mask: np.ndarray) -> np.ndarray:
    """Reduces an attention mask to one value for each place: the mean over the channels.

    Args:
        mask: `(H, W, C)`.

    Returns:
        float64 `(H, W)`.

    Raises:
        ValueError: If the shape is another.

    Example:
        >>> mask_heat(np.array([[[0.0, 1.0], [0.5, 1.0]]]))
        array([[0.5 , 0.75]])
    """
    mask = np.asarray(mask, "float64")
    if mask.ndim != 3:
        raise ValueError(f"`mask` must be (H, W, C). Received: mask with shape {mask.shape}")
    return np.asarray(mask.mean(axis=-1))


def map_heat(
    attention: np.ndarray, size: tuple[int, int], query: tuple[int, int] | None = None
) -> np.ndarray:
    """Reduces a self-attention map to one value for each place, the mean over the heads.

    Args:
        attention: `(num_heads, H * W, H * W)`: from each query (row) to each key (column).
        size: `(H, W)` of the map's places.
        query: `(row, column)` of the place whose attention is shown; `None` means what each
            place receives, the mean over all queries.

    Returns:
        float64 `(H, W)`. It sums to 1, as each row of the map does.

    Raises:
        ValueError: If the shape doesn't fit `size`, or `query` lies outside it.

    Example:
        >>> map_heat(np.array([[[0.0, 1.0], [0.5, 0.5]]]), (1, 2))
        array([[0.25, 0.75]])
    """
    attention = np.asarray(attention, "float64")
    height, width = size
    places = height * width
    if attention.ndim != 3 or attention.shape[1:] != (places, places):
        raise ValueError(
            f"`attention` must be (num_heads, {places}, {places}) where `size` is {size}. "
            f"Received: attention with shape {attention.shape}"
        )
    heat = attention.mean(axis=0)  # (H W, H W)
    if query is None:
        return np.asarray(heat.mean(axis=0).reshape(height, width))
    row, column = query
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"`query` must be a place within {size}. Received: query={query}")
    return np.asarray(heat[row * width + column].reshape(height, width))


def colourise(values: np.ndarray) -> np.ndarray:
    """Colours values by the ramp, linearly between its colours.

    Args:
        values: Any shape, 0 (dark blue) to 1 (yellow); what lies outside is clipped.

    Returns:
        uint8 `(..., 3)`.

    Example:
        >>> colourise(np.array([0.0, 1.0]))
        array([[ 26,  28,  84],
               [250, 226,  70]], dtype=uint8)
    """
    stops = np.linspace(0.0, 1.0, len(RAMP))
    values = np.clip(np.asarray(values, "float64"), 0.0, 1.0)
    channels = [np.interp(values, stops, RAMP[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=-1)).astype("uint8")


def blend(
    image: np.ndarray,
    heat: np.ndarray,
    *,
    opacity: float = OPACITY,
    scale: tuple[float, float] | None = None,
) -> Image.Image:
    """Lays coloured heat over a grey copy of an image.

    Args:
        image: `(H, W)`, `(H, W, 1)` or `(H, W, 3)`, values 0..255.
        heat: `(h, w)`, of any size. Stretched over the image, bicubic.
        opacity: The colours' share, 0..1; the rest is the image's luminance.
        scale: The values that take the ramp's low and high end. By default the least and the
            greatest of `heat`, by which no two pictures can be compared.

    Returns:
        An RGB image as large as a panel: at least 288 pixels on its longer side.

    Raises:
        ValueError: If a shape is another.
    """
    panel = panel_of(image)
    smooth = Image.fromarray(_normalised(heat, scale)).resize(panel.size, Image.Resampling.BICUBIC)
    colours = Image.fromarray(colourise(np.asarray(smooth)))
    return Image.blend(panel.convert("L").convert("RGB"), colours, opacity)


def overlay(
    image: np.ndarray,
    heat: np.ndarray,
    *,
    title: str = "",
    subtitle: str = "",
    mark: tuple[int, int] | None = None,
) -> Image.Image:
    """Draws an image, the heat, and the heat over the image, side by side with a colour bar.

    Args:
        image: `(H, W)`, `(H, W, 1)` or `(H, W, 3)`, values 0..255.
        heat: `(h, w)`, see `blend`. The bar names its least and greatest value.
        title: The heading, such as the layer's name.
        subtitle: A line under it.
        mark: `(row, column)` of a value of `heat` to frame, such as a query's place.

    Returns:
        An RGB image. Each of the three panels has a longer side of at least 288 pixels.

    Raises:
        ValueError: If a shape is another, or `heat` is not finite.

    Example:
        >>> overlay(image, mask_heat(mask), title="stage1_attention").save("mask.png")
    """
    heat = np.asarray(heat, "float64")
    picture = panel_of(image)
    plain = Image.fromarray(colourise(_normalised(heat))).resize(
        picture.size, Image.Resampling.NEAREST
    )
    if mark is not None:
        frame(plain, heat.shape, mark)
    panels = {"image": picture, "attention": plain, "over the image": blend(image, heat)}
    return _sheet(panels, heat, title, subtitle)


def gate_chart(
    image: np.ndarray, gate: np.ndarray, *, title: str = "", subtitle: str = ""
) -> Image.Image:
    """Draws an image and a gate of channels side by side, with a colour bar.

    Args:
        image: `(H, W)`, `(H, W, 1)` or `(H, W, 3)`, values 0..255.
        gate: `(P, C)`: a row for each branch, a column for each channel. Where there are more
            columns than pixels, neighbours are averaged.
        title: The heading, such as the layer's name.
        subtitle: A line under it.

    Returns:
        An RGB image.

    Raises:
        ValueError: If a shape is another, or `gate` is not finite.
    """
    gate = np.asarray(gate, "float64")
    picture = panel_of(image)
    fits = gate.ndim == 2 and gate.shape[1] <= picture.width
    how = Image.Resampling.NEAREST if fits else Image.Resampling.BOX
    strips = Image.fromarray(_normalised(gate)).resize(picture.size, how)
    panels = {"image": picture, "channels": Image.fromarray(colourise(np.asarray(strips)))}
    return _sheet(panels, gate, title, subtitle)


def _sheet(
    panels: Mapping[str, Image.Image], values: np.ndarray, title: str, subtitle: str
) -> Image.Image:
    """Panels of one size side by side, and the colour bar of the values."""
    width, height = panels["image"].size
    step = width + GAP
    bar_left = GAP + len(panels) * step
    canvas = Image.new("RGB", (bar_left + BAR_WIDTH + BAR_TEXT, HEADER + height + FOOTER), PAPER)
    draw = ImageDraw.Draw(canvas)
    heading, text = ImageFont.load_default(size=18), ImageFont.load_default(size=13)
    draw.text((GAP, 8), shortened(title, heading, canvas.width - 2 * GAP), INK, heading)
    draw.text((GAP, 31), shortened(subtitle, text, canvas.width - 2 * GAP), GREY, text)
    for index, (caption, panel) in enumerate(panels.items()):
        left = GAP + index * step
        canvas.paste(panel, (left, HEADER))
        draw.text((left, HEADER + height + 7), caption, GREY, text)
    bar = colourise(np.linspace(1.0, 0.0, height))[:, None]  # (height, 1, 3), high at the top
    canvas.paste(Image.fromarray(np.repeat(bar, BAR_WIDTH, axis=1)), (bar_left, HEADER))
    labels = bar_left + BAR_WIDTH + 5
    draw.text((labels, HEADER), f"{values.max():.3g}", INK, text, anchor="lt")
    draw.text((labels, HEADER + height - 1), f"{values.min():.3g}", INK, text, anchor="lb")
    return canvas


def panel_of(image: np.ndarray) -> Image.Image:
    """An RGB copy, enlarged by a whole number of times until its longer side is a panel's."""
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or 0 in pixels.shape:
        raise ValueError(
            "`image` must be (H, W), (H, W, 1) or (H, W, 3). "
            f"Received: image with shape {np.asarray(image).shape}"
        )
    pixels = np.clip(np.round(pixels), 0, 255).astype("uint8")
    picture = Image.fromarray(np.repeat(pixels, 3 // pixels.shape[-1], axis=-1))
    times = -(-PANEL // max(picture.size))
    size = (picture.width * times, picture.height * times)
    return picture.resize(size, Image.Resampling.NEAREST)


def frame(panel: Image.Image, size: tuple[int, ...], place: tuple[int, int]) -> None:
    """Draws a frame round the place (row, column) of a panel that shows `size` of them."""
    down, across = panel.height / size[0], panel.width / size[1]
    row, column = place
    box = (column * across, row * down, (column + 1) * across - 1, (row + 1) * down - 1)
    ImageDraw.Draw(panel).rectangle(box, outline=PAPER, width=2)


def _normalised(heat: np.ndarray, scale: tuple[float, float] | None = None) -> np.ndarray:
    """float32 (h, w) from 0 to 1; without a scale all 0.5 if the values are equal."""
    heat = np.asarray(heat, "float64")
    if heat.ndim != 2 or not heat.size or not np.isfinite(heat).all():
        raise ValueError(f"`heat` must be (h, w), finite. Received: heat with shape {heat.shape}")
    low, high = (heat.min(), heat.max()) if scale is None else scale
    if high == low:
        return np.full(heat.shape, 0.5, "float32")
    return np.asarray((heat - low) / (high - low), "float32")


def shortened(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, space: int) -> str:
    """The line, or what of it fits into the space before an ellipsis."""
    if font.getlength(line) <= space:
        return line
    while line and font.getlength(line + "...") > space:
        line = line[:-1]
    return line + "..."
