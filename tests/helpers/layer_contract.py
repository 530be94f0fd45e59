"""What every public layer must do: the cases, and the checks that all of them pass.

A public layer without a case fails `test_layer_contract.py`. Dimensions are different primes
where the layer allows, so that a transposed axis can't pass.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from helpers import paths
from keras_attn import layers

GOLDEN = paths.GOLDEN / "layers"


@dataclass(frozen=True)
class Case:
    """One way to construct a layer, and the input that it is checked with."""

    name: str
    layer: type[keras.layers.Layer]
    kwargs: dict[str, Any]
    shape: tuple[int, ...] = (2, 7, 5, 12)
    dynamic_kwargs: dict[str, Any] = field(default_factory=dict)  # where H and W are unknown
    dynamic_sizes: tuple[tuple[int, int], ...] = ((3, 8), (10, 4), (2, 1), (1, 1))  # () if none
    channels_first: dict[str, Any] = field(
        default_factory=lambda: {"data_format": "channels_first"}
    )
    zero_gradients: dict[str, str] = field(default_factory=dict)  # weight -> why it is zero
    rounding: float = 1e-6  # what is left of a zero gradient where terms cancel, of the greatest

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

    def inputs_of_all_sizes(self) -> np.ndarray:
        """Three images with deviations of 1, 1e2 and 1e3, all exact in 16 bits."""
        x = self.inputs(shape=(3, *self.shape[1:])) * np.reshape([1, 1e2, 1e3], (3, 1, 1, 1))
        exact = np.ldexp(np.round(np.ldexp(np.frexp(x)[0], 8)), np.frexp(x)[1] - 8)
        return exact.astype("float32")

    @property
    def rounds_before_its_map(self) -> bool:
        """Whether the map is made of something that is rounded to 16 bits, not of the input."""
        return self.layer in (
            layers.AttentionModule,
            layers.SelectiveKernel,
            layers.SplitAttention,
            layers.PyramidSqueezeAttention,
            layers.ContextualTransformer,
        )

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
        "batch_normalization",
        layers.BatchNormalization,
        {"epsilon": 1e-5, "momentum": 0.9},
        channels_first={"axis": 1},
    ),
    Case(
        "self_attention_2d",
        layers.SelfAttention2D,
        {"num_heads": 2, "key_depth": 6, "value_depth": 10},
        dynamic_kwargs={"table_size": (7, 5)},
    ),
    Case(
        "self_attention_2d_chunked",
        layers.SelfAttention2D,
        {
            "num_heads": 2,
            "key_depth": 6,
            "value_depth": 10,
            "implementation": "chunked",
            "max_logits_bytes": 19600,  # the maps of four heads of 35 places, out of six
        },
        shape=(3, 7, 5, 12),
        dynamic_kwargs={"table_size": (7, 5), "max_logits_bytes": 50_000},
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
    Case("channel_shuffle_2d", layers.ChannelShuffle2D, {"groups": 3}),
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
    Case("inception_resnet_unit", layers.InceptionResNetUnit, {"filters": 24, "strides": 2}),
    Case(
        "attention_module_inception",
        layers.AttentionModule,
        {"mask_depth": 1, "unit": "inception"},
        shape=(2, 5, 7, 16),
    ),
    Case("zero_padding_shortcut2d", layers.ZeroPaddingShortcut2D, {"filters": 13, "strides": 2}),
    Case(
        "zero_padding_shortcut2d_average",
        layers.ZeroPaddingShortcut2D,
        {"filters": 17, "strides": 2, "pooling": "average"},
    ),
]


_BEFORE_NORM = "BatchNormalization subtracts it in training"
_SHIFTS_A_SOFTMAX = "a softmax doesn't see what all its logits have in common"
# A normalization over a batch needs more than two images for its gradients to be of any size.
_BATCH = (5, 7, 3, 12)

CASES += [
    Case("squeeze_excite_divisor", layers.SqueezeExcite, {"ratio": 5, "bottleneck_divisor": 4}),
    Case("channel_gate", layers.ChannelGate, {"ratio": 4}),
    Case("channel_gate_no_bias", layers.ChannelGate, {"ratio": 3, "use_bias": False}),
    Case("spatial_gate", layers.SpatialGate, {"kernel_size": 3}),
    Case("spatial_gate_mean_max", layers.SpatialGate, {"pool_order": "mean_max"}),
    Case("cbam", layers.CBAM, {"ratio": 4}),
    Case(
        "cbam_timm",
        layers.CBAM,
        {"ratio": 3, "use_bias": False, "pool_order": "mean_max", "batch_norm_momentum": 0.9},
    ),
    *(
        Case(
            f"bam_{combine}",
            layers.BAM,
            {"ratio": 4, "dilation_rate": rate, "combine": combine},
            shape=_BATCH,
            zero_gradients=dict.fromkeys(
                [
                    "layer/channel_reduce/bias",
                    "layer/spatial_reduce/bias",
                    "layer/spatial_conv1/bias",
                    "layer/spatial_conv2/bias",
                ],
                _BEFORE_NORM,
            ),
        )
        for combine, rate in (("sum", 4), ("product", 2))
    ),
    Case("efficient_channel_attention", layers.EfficientChannelAttention, {}),
    Case("efficient_channel_attention_5", layers.EfficientChannelAttention, {"kernel_size": 5}),
    *(
        Case(
            f"global_context_{fusion}",
            layers.GlobalContext,
            {"ratio": ratio, "fusion": fusion},
            zero_gradients={"layer/logit/bias": _SHIFTS_A_SOFTMAX},
        )
        for fusion, ratio in (("add", 4), ("scale", 3))
    ),
    Case("gather_excite_theta_minus", layers.GatherExcite, {}),
    Case(
        "gather_excite_theta_minus_4",
        layers.GatherExcite,
        {"extent": 4},
        dynamic_sizes=((4, 9), (10, 4), (8, 8)),
    ),
    Case(
        "gather_excite_theta_4",
        layers.GatherExcite,
        {"mode": "theta", "extent": 4},
        dynamic_sizes=((4, 9), (10, 4), (8, 8)),
    ),
    Case(
        "gather_excite_theta_global",
        layers.GatherExcite,
        {"mode": "theta"},
        shape=_BATCH,
        dynamic_sizes=(),
    ),
    Case(
        "gather_excite_theta_plus",
        layers.GatherExcite,
        {"mode": "theta_plus", "ratio": 4},
        shape=_BATCH,
        dynamic_sizes=(),
    ),
    Case(
        "gather_excite_theta_plus_2",
        layers.GatherExcite,
        {"mode": "theta_plus", "extent": 2, "ratio": 4},
        dynamic_sizes=((2, 9), (10, 3)),
    ),
    Case(
        "non_local_2d",
        layers.NonLocal2D,
        {},
        zero_gradients={
            "layer/phi/bias": _SHIFTS_A_SOFTMAX,
            "layer/g/bias": "all places get the same of it, " + _BEFORE_NORM,
            "layer/z/bias": _BEFORE_NORM,
        },
    ),
    Case(
        "non_local_2d_gaussian",
        layers.NonLocal2D,
        {"mode": "gaussian", "scale": "none", "ratio": 3, "use_bias": False},
    ),
    Case(
        "non_local_2d_dot_product",
        layers.NonLocal2D,
        {"mode": "dot_product", "intermediate_filters": 5, "sub_sample": True, "scale": "none"},
    ),
    Case(
        "non_local_2d_concatenation",
        layers.NonLocal2D,
        {"mode": "concatenation", "sub_sample": True},
        zero_gradients={"layer/z/bias": _BEFORE_NORM},
        rounding=5e-6,
    ),
    Case(
        "non_local_2d_sagan",
        layers.NonLocal2D,
        {"ratio": 6, "value_ratio": 2, "scale": "scalar"},
        zero_gradients={"layer/phi/bias": _SHIFTS_A_SOFTMAX},
    ),
    Case("selective_kernel", layers.SelectiveKernel, {"ratio": 3}, shape=_BATCH),
    Case(
        "selective_kernel_split",
        layers.SelectiveKernel,
        {
            "filters": 8,
            "strides": 2,
            "groups": 2,
            "dilation_rates": (1, 2, 4),
            "split_input": True,
            "min_bottleneck_channels": 1,
            "bottleneck_divisor": 5,
        },
        shape=_BATCH,
    ),
    Case("spatial_channel_squeeze_excite", layers.SpatialChannelSqueezeExcite, {}),
    Case(
        "spatial_channel_squeeze_excite_channel",
        layers.SpatialChannelSqueezeExcite,
        {"ratio": 3, "mode": "channel"},
    ),
    Case(
        "spatial_channel_squeeze_excite_spatial",
        layers.SpatialChannelSqueezeExcite,
        {"mode": "spatial", "use_bias": False},
    ),
    *(
        Case(
            f"spatial_channel_squeeze_excite_{combine}",
            layers.SpatialChannelSqueezeExcite,
            {"combine": combine},
        )
        for combine in ("max", "multiply", "concatenate")
    ),
    Case(
        "coordinate_attention",
        layers.CoordinateAttention,
        {},
        zero_gradients={"layer/reduce/bias": _BEFORE_NORM},
    ),
    Case(
        "coordinate_attention_no_bias",
        layers.CoordinateAttention,
        {"bottleneck_channels": 5, "use_bias": False},
    ),
    Case("style_recalibration", layers.StyleRecalibration, {}, shape=_BATCH),
    Case("gated_channel_transformation", layers.GatedChannelTransformation, {}),
    Case(
        "gated_channel_transformation_l1",
        layers.GatedChannelTransformation,
        {"norm": "l1", "epsilon": 1e-3},
    ),
    Case("simple_coordinate_attention", layers.SimpleCoordinateAttention, {}),
    Case(
        "simple_coordinate_attention_no_bias",
        layers.SimpleCoordinateAttention,
        {"bottleneck_channels": 5, "use_bias": False},
    ),
    Case("efficient_local_attention", layers.EfficientLocalAttention, {}),
    Case(
        "efficient_local_attention_groups",
        layers.EfficientLocalAttention,
        {"kernel_size": 3, "normalization_groups": 4, "activation": None, "use_bias": True},
    ),
    Case("strip_attention", layers.StripAttention, {"use_bias": True}),
    Case("strip_attention_pools", layers.StripAttention, {"kernel_size": None}),
    Case("add_coordinates", layers.AddCoordinates, {"with_radius": True}),
    Case(
        "coord_conv2d",
        layers.CoordConv2D,
        {"filters": 5, "kernel_size": 3, "padding": "same", "strides": 2},
    ),
    Case("sinusoidal_position_encoding_2d", layers.SinusoidalPositionEncoding2D, {}),
    Case(
        "bottleneck_self_attention_2d",
        layers.BottleneckSelfAttention2D,
        {"num_heads": 2, "key_depth": 6, "value_depth": 10},
        dynamic_kwargs={"table_size": (7, 5)},
    ),
    Case(
        "bottleneck_self_attention_2d_scaled",
        layers.BottleneckSelfAttention2D,
        {
            "num_heads": 3,
            "key_depth": 12,
            "value_depth": 3,
            "scale_positions": True,
            "use_bias": True,
        },
        dynamic_kwargs={"table_size": (7, 5)},
    ),
    Case(
        "halo_attention_2d",
        layers.HaloAttention2D,
        {"num_heads": 2, "key_depth": 6, "value_depth": 10, "block_size": 3, "halo_size": 1},
    ),
    Case(
        "halo_attention_2d_unmasked",
        layers.HaloAttention2D,
        {
            "num_heads": 1,
            "key_depth": 5,
            "value_depth": 7,
            "block_size": 2,
            "halo_size": 3,
            "scale_positions": True,
            "mask_edges": False,
            "use_bias": True,
        },
    ),
    Case(
        "halo_attention_2d_strided",
        layers.HaloAttention2D,
        {
            "num_heads": 2,
            "key_depth": 6,
            "value_depth": 10,
            "block_size": 4,
            "halo_size": 1,
            "query_strides": 2,
        },
    ),
    Case(
        "halo_attention_2d_small_map",
        layers.HaloAttention2D,
        {"num_heads": 2, "key_depth": 6, "value_depth": 10},
    ),
]

CASES += [
    Case("effective_se", layers.EffectiveSE, {}),
    Case(
        "efficient_channel_attention_circular",
        layers.EfficientChannelAttention,
        {"kernel_size": 5, "padding": "circular"},
    ),
    Case("simam", layers.SimAM, {}),
    Case("light_cbam", layers.LightCBAM, {"ratio": 4}),
    Case("global_response_normalization", layers.GlobalResponseNormalization, {}),
    Case("triplet_attention", layers.TripletAttention, {}),
    Case(
        "triplet_attention_no_spatial",
        layers.TripletAttention,
        {"kernel_size": 3, "use_spatial": False},
    ),
    Case("shuffle_attention", layers.ShuffleAttention, {"groups": 2}),
    Case("spatial_group_enhance", layers.SpatialGroupEnhance, {"groups": 3}),
    Case("polarized_self_attention", layers.PolarizedSelfAttention, {}),
    Case(
        "polarized_self_attention_sequential",
        layers.PolarizedSelfAttention,
        {"mode": "sequential"},
        shape=(2, 7, 5, 24),
    ),
    Case(
        "efficient_multi_scale_attention",
        layers.EfficientMultiScaleAttention,
        {"groups": 3},
    ),
    Case(
        "large_separable_kernel_attention",
        layers.LargeSeparableKernelAttention,
        {"kernel_size": 11, "dilation_rate": 2},
    ),
]

CASES += [
    Case(
        "position_attention",
        layers.PositionAttention,
        {"ratio": 4},
        zero_gradients={"layer/key/bias": _SHIFTS_A_SOFTMAX},
    ),
    Case(
        "position_attention_chunked",
        layers.PositionAttention,
        {"ratio": 4, "implementation": "chunked", "max_logits_bytes": 9800},  # float64: one image
        dynamic_kwargs={"max_logits_bytes": 50_000},
        zero_gradients={"layer/key/bias": _SHIFTS_A_SOFTMAX},
    ),
    Case("channel_attention", layers.ChannelAttention, {}),
    Case(
        "double_attention",
        layers.DoubleAttention,
        {"feature_channels": 5, "attention_maps": 3},
        zero_gradients={"layer/gather/bias": _SHIFTS_A_SOFTMAX},
    ),
    Case(
        "criss_cross_attention",
        layers.CrissCrossAttention,
        {"ratio": 4},
        zero_gradients={"layer/key/bias": _SHIFTS_A_SOFTMAX},
    ),
    Case("lambda_layer", layers.LambdaLayer, {"num_heads": 2, "key_dim": 5, "scope": 3}),
    Case(
        "lambda_layer_table",
        layers.LambdaLayer,
        {"num_heads": 3, "key_dim": 4, "value_depth": 6, "scope": None},
        dynamic_kwargs={"table_size": (7, 5)},
    ),
    Case(
        "split_attention",
        layers.SplitAttention,
        {"min_bottleneck_channels": 5},
        shape=_BATCH,
        zero_gradients={"layer/reduce/bias": _BEFORE_NORM},
    ),
    Case(
        "split_attention_strided",
        layers.SplitAttention,
        {
            "filters": 10,
            "kernel_size": 5,
            "strides": 2,
            "radix": 3,
            "groups": 2,
            "min_bottleneck_channels": 1,
            "bottleneck_divisor": 4,
        },
        shape=_BATCH,
        zero_gradients={"layer/reduce/bias": _BEFORE_NORM},
    ),
    Case(
        "split_attention_radix_1",
        layers.SplitAttention,
        {"radix": 1, "min_bottleneck_channels": 5},
        shape=_BATCH,
        zero_gradients={"layer/reduce/bias": _BEFORE_NORM},
    ),
    Case(
        "pyramid_squeeze_attention",
        layers.PyramidSqueezeAttention,
        {"filters": 24, "branch_groups": (1, 2, 3, 6), "ratio": 2},
    ),
    Case(
        "pyramid_squeeze_attention_strided",
        layers.PyramidSqueezeAttention,
        {"strides": 2, "kernel_sizes": (1, 5), "branch_groups": (2, 3), "ratio": 3},
    ),
]

CASES += [
    Case(
        "axial_attention",
        layers.AxialAttention,
        {"value_depth": 8, "num_heads": 2},
        dynamic_kwargs={"table_size": (7, 5)},
        zero_gradients={
            "layer/height_logit_bn/beta": _SHIFTS_A_SOFTMAX,
            "layer/height_output_bn/beta": "the width's " + _BEFORE_NORM,
            "layer/width_logit_bn/beta": _SHIFTS_A_SOFTMAX,
        },
    ),
    Case(
        "axial_attention_plain",
        layers.AxialAttention,
        {"num_heads": 3, "along": "width", "relative": False},
        zero_gradients={"layer/width_logit_bn/beta": _SHIFTS_A_SOFTMAX},
    ),
    Case("outlook_attention", layers.OutlookAttention, {"num_heads": 2, "value_depth": 10}),
    Case(
        "outlook_attention_strided",
        layers.OutlookAttention,
        {"num_heads": 3, "window_strides": 2, "use_bias": True},
    ),
    Case(
        "contextual_transformer",
        layers.ContextualTransformer,
        {"filters": 16, "static_groups": 2},
        shape=_BATCH,
        zero_gradients={"layer/reduce/bias": _BEFORE_NORM},
        rounding=1e-5,
    ),
    Case(
        "class_specific_residual_attention",
        layers.ClassSpecificResidualAttention,
        {"classes": 5, "temperatures": (2, "max"), "keepdims": True},
    ),
    Case(
        "bilinear_attention",
        layers.BilinearAttention,
        {"ratio": 2, "block_number": 2, "dropout": 0},
        shape=(5, 4, 6, 12),
        dynamic_sizes=((2, 8), (10, 4), (2, 2)),
    ),
    Case("mask_head", layers.MaskHead, {"num_classes": 3, "filters": 6, "depth": 2}),
    Case(
        "mask_head_agnostic",
        layers.MaskHead,
        {"num_classes": 3, "filters": 5, "depth": 0, "class_agnostic": True},
    ),
]


# Their own tests hold what the cases hold of layers that take one image and give one.
OF_SEVERAL_TENSORS = {
    layers.AttentionGate,
    layers.AdditiveSpatialAttention,
    layers.AttentionProposal,  # boxes, which have no channels
    layers.AttentionZoom,
    layers.BoxCrop2D,
    layers.BoxDecoder,
    layers.CaptionDecoder,
    layers.CaptionSearch,
    layers.GlimpseSensor,
    layers.RecurrentGlimpses,
    layers.ScaleAttention,
}


def public_layers() -> set[type]:
    return {
        value
        for name, value in vars(layers).items()
        if not name.startswith("_")
        and inspect.isclass(value)
        and issubclass(value, keras.layers.Layer)
        and value not in OF_SEVERAL_TENSORS
    }


def constructor_arguments(layer: type) -> set[str]:
    """The arguments of the layer's constructor, and of the public Keras layer that it extends."""
    names: set[str] = set()
    for cls in layer.__mro__:
        if cls is keras.layers.Layer:
            break
        if "__init__" in vars(cls):
            parameters = inspect.signature(cls.__init__).parameters.values()
            anything = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
            names |= {p.name for p in parameters if p.kind not in anything}
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
    # PYTHONPATH=tests python -m helpers.layer_contract writes the missing goldens. To change
    # one, which is to change a layer's numbers, remove its file first.
    for each in CASES:
        if not (GOLDEN / f"{each.name}.npz").exists():
            save_golden(each)
