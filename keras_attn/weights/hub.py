"""Weights on the Hugging Face hub that no table lists: the repository says what belongs to them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from keras_attn.weights.download import MissingError, fetch
from keras_attn.weights.formats.reading import MOST_JSON, read_json, reading
from keras_attn.weights.metadata import Metadata, RemoteFile


def fetch_repository(tag: str, constructor: str) -> tuple[Path, Metadata]:
    """Downloads `model.safetensors` of a repository of the hub, and reads its `config.json`.

    The configuration is timm's: `pretrained_cfg` has mean, std, input_size, crop_pct,
    interpolation and license, `label_names` the classes. What it lacks is taken to be usual.

    Args:
        tag: `owner/name`.
        constructor: The constructor's name.

    Returns:
        The file of weights, and what belongs to them.

    Raises:
        DownloadError: If there is no such repository, or the file can't be had.
        ValueError: If the configuration is no JSON of this kind.
    """
    path = fetch(RemoteFile(f"hf://{tag}/model.safetensors"))
    metadata = Metadata(
        f"hf://{tag}", constructor, f"huggingface.co/{tag}", top1_on="", labels=None
    )
    try:
        config_file = fetch(RemoteFile(f"hf://{tag}/config.json"))
    except MissingError:
        note = "Its repository has no config.json: mean, std and size are taken to be usual."
        return path, dataclasses.replace(metadata, note=note)
    with reading(config_file, "is no configuration of weights"):
        with config_file.open("rb") as file:
            known = _known(read_json(file.read(MOST_JSON + 1)))
        return path, dataclasses.replace(metadata, **known)


def _known(config: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = config.get("pretrained_cfg", {})
    known: dict[str, Any] = {
        ours: given[theirs]
        for ours, theirs in (
            ("crop", "crop_pct"),
            ("interpolation", "interpolation"),
            ("licence", "license"),
        )
        if given.get(theirs) is not None
    }
    for name in ("mean", "std"):
        if name in given:
            red, green, blue = map(float, given[name])
            known[name] = (red, green, blue)
    if "input_size" in given:
        known["size"] = int(given["input_size"][-1])
    if isinstance(config.get("label_names"), list):
        known["labels"] = tuple(map(str, config["label_names"]))
    return known
