"""Harbours: what is known of pixels, of cells and of ships' ends agrees with what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from keras_attn.data.synthetic import harbour
from keras_attn.data.synthetic.harbour import END, HULL, LAND, SEA


@pytest.fixture(scope="module")
def scenes():
    return harbour(30, size=64, ships=(0, 4), noise=0, seed=2)


def test_each_ship_has_two_ends_that_are_its_length_apart(scenes):
    assert scenes.images.shape == (30, 64, 64, 3) and scenes.images.dtype == "uint8"
    is_ship = scenes.ends[..., 0, 0] >= 0
    assert set(is_ship.sum(axis=1)) == {0, 1, 2, 3, 4}
    bow, stern = np.moveaxis(scenes.ends[is_ship], 1, 0)
    apart = np.hypot(*(bow - stern).T)
    assert apart.min() >= 10 - 3 and apart.max() <= 30 - 3
    for classes, ends, ships in zip(scenes.classes, scenes.ends, is_ship, strict=True):
        for row, column in ends[ships].reshape(-1, 2).astype(int):
            assert classes[row, column] == END
        assert (classes == END).any() == ships.any()
        assert (ends[~ships] == -1).all()


def test_ends_are_disks_within_hulls(scenes):
    rows, columns = np.mgrid[:64, :64] + 0.5
    for classes, ends in zip(scenes.classes, scenes.ends, strict=True):
        places = ends.reshape(-1, 2)
        away = np.hypot(rows - places[:, :1, None], columns - places[:, 1:, None]).min(axis=0)
        assert (away[classes == END] <= 1.5).all()
        assert (away[classes == HULL] > 1.5).all()


def test_ships_lie_on_the_sea_and_buildings_on_the_land(scenes):
    """Both are bright; the classes tell one from the other."""
    is_bright = scenes.images.mean(axis=-1) > 140
    assert is_bright[scenes.classes <= HULL].all()
    assert not is_bright[scenes.classes == SEA].any()
    share = is_bright[scenes.classes == LAND].mean()
    assert 0.02 < share < 0.3
    assert 0.2 < (scenes.classes == LAND).mean() < 0.5


def test_cells(scenes):
    coarse = scenes.coarse(16)
    assert coarse.shape == (30, 4, 4) and coarse.dtype == "uint8"
    for cells, classes, ends in zip(coarse, scenes.classes, scenes.ends, strict=True):
        places = ends.reshape(-1, 2)
        places = places[places[:, 0] >= 0] // 16
        assert {tuple(place) for place in np.argwhere(cells == END)} == {
            tuple(place) for place in places.astype(int)
        }
        for (row, column), cell in np.ndenumerate(cells):
            within = classes[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            counts = np.bincount(within.ravel(), minlength=4)
            if cell == HULL:
                assert counts[END] + counts[HULL] >= 64
            elif cell > HULL:
                assert counts[cell] == counts[SEA:].max()


def test_the_seed_decides():
    one, same, other = (harbour(2, size=48, seed=seed) for seed in (5, 5, 6))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.images != other.images).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "`count` must be a positive integer. Received: count=0"),
        ({"size": 47}, "`size` must be an integer of at least 48. Received: size=47"),
        ({"ships": (3, 2)}, r"`ships` must be two integers from 0 to 255.*ships=\(3, 2\)"),
        ({"noise": -1}, "`noise` must be 0 or more. Received: noise=-1"),
        ({"seed": -1}, "`seed` must be"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        harbour(**{"count": 1, **options})


@pytest.mark.parametrize("stride", [7, 0, 8.0])
def test_a_stride_that_does_not_divide(scenes, stride):
    message = f"`stride` must divide the images' sides, 64 and 64. Received: stride={stride}"
    with pytest.raises(ValueError, match=message):
        scenes.coarse(stride)
