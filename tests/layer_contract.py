"""What every public layer must do: the cases, and the checks that all of them pass.

A public layer without a case fails `test_layer_contract.py`. Dimensions are different primes
where the layer allows, so that a transposed axis can't pass.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_attn import layers

GOLDEN = Path(__file__).parent / "golden" / "layers"


@dataclass(frozen=True)
class Case:
    """One way to construct a layer, and the input that it is checked with."""

    name: str
    layer: type[keras.layers.Layer]
    kwargs: dict[str, Any]
    shape: tuple[int, ...] = (2, 7, 5, 12)
    dynamic_kwargs: dict[str, Any] = field(default_factory=dict)  # where H and W are unknown
    zero_gradients: dict[str, str] = field(default_factory=dict)  # weight -> why it is zero

    def make(self, **kwargs: Any) -> keras.layers.Layer:
        return self.layer(**{**self.kwargs, "name": "layer", **kwargs})

    def make_built(self, seed: int = 1, **kwargs: Any) -> keras.layers.Layer:
        """The layer with every weight random, so that no zero or one hides a mistake."""
        layer = self.make(**kwargs)
        layer.build(self.shape)
        rng = np.random.default_rng(seed)
        layer.set_weights(
            [
                rng.uniform(0.5, 1.5, w.shape)
                if w.path.endswith(("gamma", "moving_variance"))
                else rng.normal(0, 0.3, w.shape)
                for w in layer.weights
            ]
        )
        return layer

    def inputs(self, seed: int = 0, shape: tuple[int, ...] | None = None) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return rng.normal(size=shape or self.shape).astype("float32")

    @property
    def has_attention(self) -> bool:
        return "return_attention" in inspect.signature(self.layer.call).parameters


CASES = [
    Case("squeeze_excite", layers.SqueezeExcite, {"ratio": 4}),
    Case(
        "squeeze_excite_max",
        layers.SqueezeExcite,
        {
            "bottleneck_channels": 5,
            "pooling": "max",
            "activation": "silu",
            "gate_activation": "hard_sigmoid",
            "use_bias": False,
        },
    ),
    Case(
        "self_attention_2d",
        layers.SelfAttention2D,
        {"num_heads": 2, "key_depth": 6, "value_depth": 10},
        dynamic_kwargs={"table_size": (7, 5)},
    ),
    Case(
        "self_attention_2d_plain",
        layers.SelfAttention2D,
        {"num_heads": 3, "key_depth": 6, "value_depth": 3, "relative": False, "use_bias": False},
    ),
    Case(
        "augmented_conv2d",
        layers.AugmentedConv2D,
        {"filters": 13, "kernel_size": 3, "num_heads": 2, "key_depth": 6, "value_depth": 4},
        dynamic_kwargs={"table_size": (7, 5)},
    ),
    Case(
        "augmented_conv2d_strided",
        layers.AugmentedConv2D,
        {
            "filters": 11,
            "kernel_size": (3, 5),
            "num_heads": 1,
            "key_depth": 5,
            "value_depth": 3,
            "strides": 2,
            "attention_strides": 2,
            "use_bias": False,
        },
        shape=(2, 13, 11, 7),
        dynamic_kwargs={"table_size": (4, 3)},
    ),
    Case(
        "attention_module",
        layers.AttentionModule,
        {"mask_depth": 2},
        shape=(2, 11, 7, 8),
    ),
    Case(
        "attention_module_resnext",
        layers.AttentionModule,
        {"mask_depth": 1, "unit": "resnext", "learning": "naive", "attention": "spatial"},
        shape=(2, 5, 7, 64),
    ),
    Case(
        "grouped_conv2d",
        layers.GroupedConv2D,
        {"filters": 6, "kernel_size": 3, "groups": 3, "padding": "same", "strides": 2},
    ),
    Case("ceil_max_pooling2d", layers.CeilMaxPooling2D, {}, shape=(2, 7, 6, 5)),
    Case(
        "pre_activation_bottleneck",
        layers.PreActivationBottleneck,
        {"filters": 20, "strides": 2},
    ),
    Case(
        "resnext_bottleneck",
        layers.ResNeXtBottleneck,
        {"filters": 24, "cardinality": 3},
    ),
    Case("zero_padding_shortcut2d", layers.ZeroPaddingShortcut2D, {"filters": 13, "strides": 2}),
    Case(
        "zero_padding_shortcut2d_average",
        layers.ZeroPaddingShortcut2D,
        {"filters": 17, "strides": 2, "pooling": "average"},
    ),
]


def public_layers() -> set[type]:
    return {
        value
        for name, value in vars(layers).items()
        if not name.startswith("_")
        and inspect.isclass(value)
        and issubclass(value, keras.layers.Layer)
    }


def constructor_arguments(layer: type) -> set[str]:
    """The arguments of the layer's constructor, and of the public Keras layer that it extends."""
    names: set[str] = set()
    for cls in layer.__mro__:
        if cls is keras.layers.Layer:
            break
        parameters = inspect.signature(cls.__init__).parameters.values()
        names |= {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}
        if not cls.__module__.startswith("keras_attn"):
            break
    return names - {"self", "activity_regularizer"}


def config_keys(layer: keras.layers.Layer) -> set[str]:
    return set(layer.get_config()) - {"name", "trainable", "dtype", "activity_regularizer"}


def first(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, (tuple, list)) else outputs


def to_numpy(outputs: Any) -> list[np.ndarray]:
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    return [keras.ops.convert_to_numpy(x) for x in outputs]


def call(case: Case, layer: Any, x: Any, **kwargs: Any) -> list[np.ndarray]:
    """The layer's output, and its attention where it has one."""
    if case.has_attention:
        kwargs["return_attention"] = True
    return to_numpy(layer(x, **kwargs))


def model_of(case: Case, shape: tuple | None = None, **kwargs: Any) -> keras.Model:
    """A functional model of the case's layer with all its outputs and random weights."""
    inputs = keras.Input(shape or case.shape[1:], name="image")
    layer = case.make_built(**kwargs)
    outputs = layer(inputs, return_attention=True) if case.has_attention else layer(inputs)
    return keras.Model(inputs, outputs)


def assert_close(got: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    """Equal to `tolerance` times the greatest value that is expected."""
    assert got.shape == expected.shape, (got.shape, expected.shape)
    difference = np.abs(got.astype("float64") - expected.astype("float64")).max()
    bound = tolerance * max(np.abs(expected.astype("float64")).max(), 1e-3)
    assert difference <= bound, f"differs by {difference:.3g}, the bound is {bound:.3g}"


def load_golden(case: Case) -> dict[str, Any]:
    with np.load(GOLDEN / f"{case.name}.npz") as file:
        weights = [file[f"weight{i}"] for i in range(int(file["num_weights"]))]
        outputs = [file[f"output{i}"] for i in range(int(file["num_outputs"]))]
        return {"input": file["input"], "weights": weights, "outputs": outputs}


def save_golden(case: Case) -> None:
    layer = case.make_built()
    x = case.inputs()
    outputs = call(case, layer, x)
    weights = layer.get_weights()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        GOLDEN / f"{case.name}.npz",
        input=x,
        num_weights=len(weights),
        num_outputs=len(outputs),
        **{f"weight{i}": value for i, value in enumerate(weights)},
        **{f"output{i}": value for i, value in enumerate(outputs)},
    )


if __name__ == "__main__":
    # python tests/layer_contract.py writes the goldens anew: only when numbers should change.
    for each in CASES:
        save_golden(each)
