"""A folder such as people have: three textures in 60 files of several sizes and modes."""

import numpy as np
from PIL import Image

CLASSES = ("checks", "dots", "stripes")


def make_photos(root, count=20, seed=0):
    """Writes `count` files for each texture; one is cut off, others are RGBA, CMYK and 16 bits.

    Colours, sizes and places are drawn; only the texture tells a class.
    """
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(texture(rng, name)).save(root / name / f"{i:02}.jpg", quality=90)
    open_(root / "dots/00.jpg").convert("RGBA").save(root / "dots/00.png")
    (root / "dots/00.jpg").unlink()
    open_(root / "dots/01.jpg").convert("CMYK").save(root / "dots/01.jpg")
    grey = np.asarray(open_(root / "checks/00.jpg").convert("L")).astype("uint16") * 257
    Image.fromarray(grey).save(root / "checks/00.png")
    (root / "checks/00.jpg").unlink()
    whole = (root / "stripes/00.jpg").read_bytes()
    (root / "stripes/00.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "notes.txt").write_text("taken in spring")
    return root


def texture(rng, name):
    """Uint8 `(h, w, 3)`: four to five periods in the shorter side, two colours and some noise."""
    height, width = rng.integers(60, 140, 2)
    y, x = np.mgrid[:height, :width] + rng.integers(0, 40)
    period = min(height, width) / rng.uniform(4, 5)
    is_light = {
        "stripes": (y / period) % 1 < 0.5,
        "checks": ((x / period) % 1 < 0.5) ^ ((y / period) % 1 < 0.5),
        "dots": ((x / period) % 1 - 0.5) ** 2 + ((y / period) % 1 - 0.5) ** 2 < 0.1,
    }[name]
    dark, light = rng.uniform(0, 100, 3), rng.uniform(130, 255, 3)
    image = np.where(is_light[..., None], light, dark) + rng.normal(0, 10, (height, width, 3))
    return np.clip(image, 0, 255).astype("uint8")


def open_(path):
    """The image, read whole, so that the file can be replaced."""
    image = Image.open(path)
    image.load()
    return image
