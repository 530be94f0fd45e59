"""What a recipe is."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from keras_attn.applications.common.names import trained_name
from keras_attn.data.options import DATA_OPTIONS, check_data_options
from keras_attn.training.config import OPTIONS, TrainingConfig
from keras_attn.training.options import meant

PARTS = ("model", "data", "model_options", "data_options", "training")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training as data.

    Attributes:
        model: Name of the network, as `keras_attn.applications.get_model` takes it.
        data: Data set, as `load_dataset` takes it.
        training: Options of the training.
        data_options: Further arguments of `load_dataset`.
        model_options: Further arguments of the network's constructor.

    Raises:
        ValueError: If there is no such network, or an argument is unknown.

    Example:
        >>> training = TrainingConfig(epochs=10)
        >>> Recipe(model="se_resnet20_cifar", data="cifar10", training=training).model
        'se_resnet20_cifar'
    """

    model: str
    data: str
    training: TrainingConfig
    data_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    model_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", trained_name(self.model))
        _check_keys("data_options", self.data_options, DATA_OPTIONS)
        check_data_options(**self.data_options)
        if not isinstance(self.training, TrainingConfig):
            raise ValueError(
                "`training` must be a TrainingConfig; of a mapping, `Recipe.of` makes one. "
                f"Received: training={self.training!r}"
            )

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> "Recipe":
        """Makes a recipe of plain mappings, as a file holds them.

        Args:
            parts: `model`, `data`, `training`, and perhaps `data_options` and `model_options`.

        Raises:
            ValueError: If a part is missing or wrong, or a key of one unknown.

        Example:
            >>> parts = {"model": "resnet20_cifar", "data": "digits", "training": {"epochs": 3}}
            >>> Recipe.of(parts).training.epochs
            3
        """
        _check_keys("recipe", parts, PARTS)
        for name in PARTS:
            kind: type = str if name in ("model", "data") else Mapping
            if name in parts and not isinstance(parts[name], kind):
                raise ValueError(
                    f"`{name}` of a recipe must be a {'text' if kind is str else 'table'}. "
                    f"Received: {name}={parts[name]!r}"
                )
        for name in ("model", "data", "training"):
            if name not in parts:
                raise ValueError(f"A recipe must have a `{name}`. Received: no such key")
        options = parts["training"]
        _check_keys("training", options, OPTIONS)
        if "epochs" not in options:
            raise ValueError("`training` must say for how many `epochs`. Received: no such key")
        return cls(**{**parts, "training": TrainingConfig(**options)})

    def changed(self, **changes: Any) -> "Recipe":
        """The same with other arguments.

        Args:
            **changes: New values of `model`, `data`, `data_options`' keys, or options of the
                training. Another model has none of the old one's `model_options`.

        Raises:
            ValueError: If a name is none of these, or a value wrong.
        """
        _check_keys("changes", changes, ("model", "data", *DATA_OPTIONS, *OPTIONS))
        fields = {name: value for name, value in changes.items() if name in ("model", "data")}
        if "model" in fields:
            fields["model_options"] = {}
        data_options = {name: value for name, value in changes.items() if name in DATA_OPTIONS}
        options = {name: value for name, value in changes.items() if name in OPTIONS}
        return dataclasses.replace(
            self,
            training=dataclasses.replace(self.training, **options),
            data_options={**self.data_options, **data_options},
            **fields,
        )


def _check_keys(
    what: str, given: Mapping[str, Any], known: Sequence[str] | Mapping[str, Any]
) -> None:
    """Raises a ValueError that names the first unknown key, and what may have been meant."""
    for key in given:
        if key not in known:
            raise ValueError(
                f"`{what}` must have no other keys than a recipe's. Received: {key!r}"
                f"{meant(str(key), known)}"
            )
