"""A set of weights that can be had: what it is, where it is, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_attn.weights.metadata import Metadata, RemoteFile
from keras_attn.weights.naming import Naming


@dataclass(frozen=True)
class WeightSet:
    """A set of weights that can be had.

    Attributes:
        metadata: The set's metadata.
        naming: The naming of the weights in its file; `None` for a file of our own.
        file: The set's file, and where it is.
        arguments: The constructor's arguments that it was trained with. They are taken where the
            user gives none, and others are refused.
        is_default: Whether `weights="imagenet"` means this one.
    """

    metadata: Metadata
    naming: Naming | None
    file: RemoteFile
    arguments: Mapping[str, Any] = field(default_factory=dict)
    is_default: bool = False
