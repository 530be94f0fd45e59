"""The figure of gates by class: Hu et al., CVPR 2018, section 7.2."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_attn._checks import check_int
from keras_attn._extras import need
from keras_attn._staging import written_whole
from keras_attn.explain.profiles.class_profiles import Profile, selectivity


def draw_profiles(
    profiles: Mapping[str, Profile],
    out_png: str | os.PathLike[str],
    *,
    classes: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    channels: int = 50,
) -> Path:
    """Draws curves of a few classes over sampled channels, a panel for each layer.

    The gates' axis is 0 to 1 in every panel, or to the greatest mean where one is above 1. The mean
    over all classes is drawn in black.

    Args:
        profiles: Profiles from `class_profiles`.
        out_png: Where the picture goes. It is written whole or not at all.
        classes: Numbers of the classes. By default the first four that have images.
        class_names: Names of the K classes, for the legend.
        channels: How many channels are drawn at most, evenly spaced.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: If there is no such class, or it has no images.

    Example:

    >>> draw_profiles(class_profiles(model, (images, labels)), "gates.png", classes=[0, 3])
    PosixPath('gates.png')
    """
    if not profiles:
        raise ValueError("`profiles` must have a layer. Received: profiles={}")
    check_int("channels", channels, "a positive integer")
    count = next(iter(profiles.values())).count
    there = np.flatnonzero(count)
    chosen = [int(each) for each in (there[:4] if classes is None else classes)]
    if not chosen or not set(chosen) <= set(there.tolist()):
        raise ValueError(
            f"`classes` must be numbers of classes with images, {there.tolist()}. "
            f"Received: classes={classes!r}"
        )
    need("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(3, len(profiles))
    down = -(-len(profiles) // across)
    figure = Figure(figsize=(4.6 * across, 2.7 * down + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    high = max(1.0, *(float(each.mean[there].max()) for each in profiles.values()))
    found = selectivity(profiles)
    for index, (name, profile) in enumerate(profiles.items(), start=1):
        axes = figure.add_subplot(down, across, index)
        total = profile.mean.shape[1]
        places = np.unique(np.linspace(0, total - 1, min(channels, total)).round().astype(int))
        for each in chosen:
            label = str(each) if class_names is None else class_names[each]
            axes.plot(profile.mean[each, places], linewidth=1, label=label)
        everything = np.average(profile.mean, axis=0, weights=profile.count)
        axes.plot(everything[places], color="black", linewidth=1.2, label="all")
        axes.set_ylim(min(0.0, float(profile.mean[there].min())), high)
        axes.set_title(f"{name}, selectivity {found[name]:.3g}", fontsize=9)
        axes.set_xlabel(f"{len(places)} of {total} channels", fontsize=8)
        axes.tick_params(labelsize=7)
        if index == 1:
            axes.set_ylabel("mean gate", fontsize=8)
            figure.legend(loc="outside lower center", ncols=len(chosen) + 1, fontsize=8)
    with written_whole(Path(out_png)) as written:
        figure.savefig(written, format="png", dpi=110)
    return Path(out_png)
