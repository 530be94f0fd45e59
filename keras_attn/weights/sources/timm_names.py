"""What timm calls the weights of its networks: a table for each of its files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_attn.weights.naming import Line, Table, as_it_is

_BLOCK = (
    ("stage{s}_block{b}_conv{c}", "layer{s}.{b-1}.conv{c}"),
    ("stage{s}_block{b}_bn{c}", "layer{s}.{b-1}.bn{c}"),
)


def _projection(first: int) -> tuple[tuple[str, str], ...]:
    """Behind an average pool, which has a number of its own."""
    return (
        ("stage{s}_block{b}_projection", f"layer{{s}}.{{b-1}}.downsample.{first}"),
        ("stage{s}_block{b}_projection_bn", f"layer{{s}}.{{b-1}}.downsample.{first + 1}"),
    )


def _squeeze_excite(name: str) -> tuple[tuple[str, str], ...]:
    ours = "stage{s}_block{b}_se/"
    theirs = f"layer{{s}}.{{b-1}}.{name}."
    return (
        (f"{ours}reduce_kernel", f"{theirs}fc1.weight"),
        (f"{ours}reduce_bias", f"{theirs}fc1.bias"),
        (f"{ours}expand_kernel", f"{theirs}fc2.weight"),
        (f"{ours}expand_bias", f"{theirs}fc2.bias"),
    )


SENET = Table(
    "timm's senet.py",
    (
        ("stem_conv", "layer0.conv1"),
        ("stem_bn", "layer0.bn1"),
        ("stem_conv{c}", "layer0.conv{c}"),
        ("stem_bn{c}", "layer0.bn{c}"),
        *_BLOCK,
        *_projection(0),
        *_squeeze_excite("se_module"),
        ("predictions", "last_linear"),
    ),
    marks=("layer0.conv1.weight",),
)

_RESNET = (
    ("stem_conv", "conv1"),
    ("stem_bn", "bn1"),
    ("stem_conv1", "conv1.0"),
    ("stem_bn1", "conv1.1"),
    ("stem_conv2", "conv1.3"),
    ("stem_bn2", "conv1.4"),
    ("stem_conv3", "conv1.6"),
    ("stem_bn3", "bn1"),
    ("stem_conv4", "maxpool.0"),  # ResNet-RS
    ("stem_bn4", "maxpool.1"),
    *_BLOCK,
    *_squeeze_excite("se"),
    ("stage{s}_block{b}_eca/conv", "layer{s}.{b-1}.se.conv"),
    ("predictions", "fc"),
)
RESNET = Table(
    "timm's resnet.py",
    (*_RESNET, *_projection(0)),
    marks=("bn1.weight", "layer1.0.conv1.weight", "layer2.0.downsample.1.weight"),
)
RESNET_AVERAGED = Table(
    "timm's resnet.py with average pools in its shortcuts",
    (*_RESNET, *_projection(1)),
    marks=("bn1.weight", "layer2.0.downsample.2.weight"),
)

SKNET = Table(
    "timm's sknet.py",
    (
        ("stem_conv", "conv1"),
        ("stem_bn", "bn1"),
        ("stage{s}_block{b}_conv{c}", "layer{s}.{b-1}.conv{c}.conv"),
        ("stage{s}_block{b}_bn{c}", "layer{s}.{b-1}.conv{c}.bn"),
        ("stage{s}_block{b}_sk/path{p}_conv", "layer{s}.{b-1}.conv2.paths.{p-1}.conv"),
        ("stage{s}_block{b}_sk/path{p}_bn", "layer{s}.{b-1}.conv2.paths.{p-1}.bn"),
        ("stage{s}_block{b}_sk/reduce", "layer{s}.{b-1}.conv2.attn.fc_reduce"),
        ("stage{s}_block{b}_sk/reduce_bn", "layer{s}.{b-1}.conv2.attn.bn"),
        ("stage{s}_block{b}_sk/select", "layer{s}.{b-1}.conv2.attn.fc_select"),
        *_projection(0),
        ("predictions", "fc"),
    ),
    marks=("layer1.0.conv2.paths.0.conv.weight",),
)

SKNET_BASIC = Table(
    "timm's sknet.py with basic blocks",
    tuple(
        (ours, theirs.replace("conv2.paths", "conv1.paths").replace("conv2.attn", "conv1.attn"))
        for ours, theirs in SKNET.lines
    ),
    marks=("layer1.0.conv1.paths.0.conv.weight",),
)

_SPLIT = (
    ("conv", "conv"),
    ("bn", "bn0"),
    ("reduce", "fc1"),
    ("reduce_bn", "bn1"),
    ("select", "fc2"),
)
RESNEST = Table(
    "timm's resnest.py",
    (
        *(
            (f"stage{{s}}_block{{b}}_split/{ours}", f"layer{{s}}.{{b-1}}.conv2.{theirs}")
            for ours, theirs in _SPLIT
        ),
        *RESNET_AVERAGED.lines,
    ),
    marks=("layer1.0.conv2.bn0.weight",),
)


def _keys_first(kernel: np.ndarray) -> np.ndarray:
    """BoTNet's projection: theirs has queries, keys and values, ours keys, queries and values."""
    kernel = kernel[:, :, 0, 0].T  # (C, 2 dk + dv), dv = C
    keys = (kernel.shape[1] - kernel.shape[0]) // 2
    parts = kernel[:, keys : 2 * keys], kernel[:, :keys], kernel[:, 2 * keys :]
    return np.concatenate(parts, axis=1)


def _keys_of_heads(num_heads: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """HaloNet's two projections as one: theirs have each head's keys beside its values."""

    def joined(queries: np.ndarray, keys_values: np.ndarray) -> np.ndarray:
        queries, keys_values = queries[:, :, 0, 0].T, keys_values[:, :, 0, 0].T
        by_head = keys_values.reshape(len(keys_values), num_heads, -1)
        keys = queries.shape[1] // num_heads
        return np.concatenate(
            [
                by_head[..., :keys].reshape(len(queries), -1),
                queries,
                by_head[..., keys:].reshape(len(queries), -1),
            ],
            axis=1,
        )

    return joined


def _rows_that_are_read(queries: int) -> Callable[[np.ndarray], np.ndarray]:
    """HaloNet's tables without the rows at the start that no query reads."""

    def cut(table: np.ndarray) -> np.ndarray:
        return table[(len(table) + 1) // 2 - queries :]

    return cut


def _of_line(kernel: np.ndarray) -> np.ndarray:
    """A convolution over all blocks of a line, as the product that it is."""
    outputs, groups = kernel.shape[:2]
    kernel = kernel.reshape(outputs, groups, -1)
    return kernel.transpose(2, 1, 0).reshape(-1, outputs)


_BYOB_BLOCK = "stages.{s-1}.{b-1}."
_HALVES = ("width", "height")


def _halo(block: str, their_block: str, num_heads: int, queries: int) -> tuple[Line, ...]:
    theirs = f"{their_block}self_attn."
    return (
        (
            f"{block}_halo/kqv_kernel",
            (f"{theirs}q.weight", f"{theirs}kv.weight"),
            _keys_of_heads(num_heads),
        ),
        *(
            (
                f"{block}_halo/relative_{half}",
                f"{theirs}pos_embed.{half}_rel",
                _rows_that_are_read(queries),
            )
            for half in _HALVES
        ),
    )


def _byobnet(title: str, marks: tuple[str, ...], *first: Line) -> Table:
    """The lines of all of timm's byobnet.py and byoanet.py, and before them a network's own."""
    return Table(title, (*first, *_BYOBNET), marks)


_SELF_ATTENTION: tuple[Line, ...] = (
    ("stage{s}_block{b}_attention_bn", f"{_BYOB_BLOCK}post_attn"),
    (
        "stage{s}_block{b}_bot/kqv_kernel",
        f"{_BYOB_BLOCK}self_attn.qkv.weight",
        _keys_first,
    ),
    *(
        (
            f"stage{{s}}_block{{b}}_bot/relative_{half}",
            f"{_BYOB_BLOCK}self_attn.pos_embed.{half}_rel",
            as_it_is,
        )
        for half in _HALVES
    ),
    # The last stage's first block strides by its queries: 4 x 4 of them in blocks of 8 x 8.
    *_halo("stage4_block1", "stages.3.0.", 8, 4),
    *_halo("stage{s}_block{b}", _BYOB_BLOCK, 8, 8),
    ("stage{s}_block{b}_lambda/qkv", f"{_BYOB_BLOCK}self_attn.qkv"),
    ("stage{s}_block{b}_lambda/query_bn", f"{_BYOB_BLOCK}self_attn.norm_q"),
    ("stage{s}_block{b}_lambda/value_bn", f"{_BYOB_BLOCK}self_attn.norm_v"),
    (
        "stage{s}_block{b}_lambda/positions/kernel",
        f"{_BYOB_BLOCK}self_attn.conv_lambda.weight",
        lambda kernel: kernel[..., 0].transpose(2, 3, 1, 0),
    ),
    (
        "stage{s}_block{b}_lambda/positions/bias",
        f"{_BYOB_BLOCK}self_attn.conv_lambda.bias",
        as_it_is,
    ),
)
_BILINEAR: tuple[Line, ...] = (
    *(
        (f"stage{{s}}_block{{b}}_bat/{ours}{end}", f"{_BYOB_BLOCK}attn.{theirs}.{their_end}")
        for ours, theirs in (
            ("reduce", "conv1"),
            ("pool", "ba.conv1"),
            ("mix", "ba.conv2"),
            ("expand", "conv2"),
        )
        for end, their_end in (("", "conv"), ("_bn", "bn"))
    ),
    ("stage{s}_block{b}_bat/rows/kernel", f"{_BYOB_BLOCK}attn.ba.conv_p.weight", _of_line),
    ("stage{s}_block{b}_bat/rows/bias", f"{_BYOB_BLOCK}attn.ba.conv_p.bias", as_it_is),
    ("stage{s}_block{b}_bat/columns/kernel", f"{_BYOB_BLOCK}attn.ba.conv_q.weight", _of_line),
    ("stage{s}_block{b}_bat/columns/bias", f"{_BYOB_BLOCK}attn.ba.conv_q.bias", as_it_is),
)
_BYOBNET: tuple[Line, ...] = (
    ("stem_conv{c}", "stem.conv{c}.conv"),
    ("stem_bn{c}", "stem.conv{c}.bn"),
    ("stage{s}_block{b}_conv2", f"{_BYOB_BLOCK}conv2_kxk.conv"),
    ("stage{s}_block{b}_bn2", f"{_BYOB_BLOCK}conv2_kxk.bn"),
    ("stage{s}_block{b}_conv{c}", f"{_BYOB_BLOCK}conv{{c}}_1x1.conv"),
    ("stage{s}_block{b}_bn{c}", f"{_BYOB_BLOCK}conv{{c}}_1x1.bn"),
    ("stage{s}_block{b}_projection", f"{_BYOB_BLOCK}shortcut.conv"),
    ("stage{s}_block{b}_projection_bn", f"{_BYOB_BLOCK}shortcut.bn"),
    ("stage{s}_block{b}_gc/logit", f"{_BYOB_BLOCK}attn.conv_attn"),
    ("stage{s}_block{b}_gc/reduce", f"{_BYOB_BLOCK}attn.mlp_add.fc1"),
    ("stage{s}_block{b}_gc/ln", f"{_BYOB_BLOCK}attn.mlp_add.norm"),
    ("stage{s}_block{b}_gc/expand", f"{_BYOB_BLOCK}attn.mlp_add.fc2"),
    *(
        (f"stage{{s}}_block{{b}}_se/{ours}", f"{_BYOB_BLOCK}attn.{theirs}")
        for ours, theirs in (
            ("reduce_kernel", "fc1.weight"),
            ("reduce_bias", "fc1.bias"),
            ("expand_kernel", "fc2.weight"),
            ("expand_bias", "fc2.bias"),
        )
    ),
    ("stage{s}_block{b}_eca/conv", f"{_BYOB_BLOCK}attn.conv"),
    *_BILINEAR,
    *_SELF_ATTENTION,
    ("last_conv", "final_conv.conv"),
    ("last_bn", "final_conv.bn"),
    ("predictions", "head.fc"),
)

BYOBNET = _byobnet("timm's byobnet.py", ("stem.conv1.conv.weight",))
# Only there does a table hold all offsets of a map.
LAMBDA_TABLE = _byobnet(
    "timm's lambda_resnet26rpt_256",
    ("stages.3.0.self_attn.pos_emb",),
    (
        "stage{s}_block{b}_lambda/positions/kernel",
        f"{_BYOB_BLOCK}self_attn.pos_emb",
        lambda table: table[:, :, None],
    ),
)
# HaloNet-50 has 4 heads in its second stage, where halo2botnet50ts has 8 in its second block, too.
HALO2BOT = _byobnet("timm's halo2botnet50ts_256", ("stages.1.1.self_attn.kv.weight",))
# Blocks of 7 x 7, which no stride divides.
HALOREGNETZ = _byobnet(
    "timm's haloregnetz_b",
    ("stem.conv.weight", "stages.3.0.self_attn.kv.weight"),
    ("stem_conv1", "stem.conv"),
    ("stem_bn1", "stem.bn"),
    *_halo("stage{s}_block{b}", _BYOB_BLOCK, 8, 7),
)
HALONET50 = _byobnet(
    "timm's halonet50ts",
    ("stages.1.3.self_attn.kv.weight",),
    *_halo("stage2_block{b}", "stages.1.{b-1}.", 4, 8),
)
_STEM, _OSA = "stem.{c-1}.", "stages.{s-1}.blocks.{b-1}."
_COMMON_OSA: tuple[Line, ...] = (
    ("stem_conv1", "stem.0.conv"),
    ("stem_bn{c}", f"{_STEM}bn"),
    ("stage{s}_block{b}_bn{c}", f"{_OSA}conv_mid.{{c-1}}.bn"),
    *(
        (f"stage{{s}}_block{{b}}_{ours}{end}", f"{_OSA}{theirs}.{their_end}")
        for ours, theirs in (("reduction", "conv_reduction"), ("aggregation", "conv_concat"))
        for end, their_end in (("", "conv"), ("_bn", "bn"))
    ),
    ("stage{s}_block{b}_ese/project", f"{_OSA}attn.fc"),
    ("predictions", "head.fc"),
)
VOVNET = Table(
    "timm's vovnet.py",
    (
        *_COMMON_OSA,
        ("stem_conv{c}", f"{_STEM}conv"),
        ("stage{s}_block{b}_conv{c}", f"{_OSA}conv_mid.{{c-1}}.conv"),
    ),
    marks=("stages.0.blocks.0.conv_mid.0.conv.weight",),
)


def _depthwise(kernel: np.ndarray) -> np.ndarray:
    return kernel.transpose(2, 3, 0, 1)  # (C, 1, h, w) -> (h, w, C, 1)


VOVNET_DEPTHWISE = Table(
    "timm's vovnet.py with depthwise convolutions",
    (
        *_COMMON_OSA,
        ("stem_conv{c}_depthwise/kernel", f"{_STEM}conv_dw.weight", _depthwise),
        ("stem_conv{c}", f"{_STEM}conv_pw"),
        (
            "stage{s}_block{b}_conv{c}_depthwise/kernel",
            f"{_OSA}conv_mid.{{c-1}}.conv_dw.weight",
            _depthwise,
        ),
        ("stage{s}_block{b}_conv{c}", f"{_OSA}conv_mid.{{c-1}}.conv_pw"),
    ),
    marks=("stages.0.blocks.0.conv_mid.0.conv_dw.weight",),
)
NAMINGS = (
    SENET,
    SKNET,
    SKNET_BASIC,
    LAMBDA_TABLE,
    HALO2BOT,
    HALONET50,
    HALOREGNETZ,
    BYOBNET,
    VOVNET,
    VOVNET_DEPTHWISE,
    RESNEST,
    RESNET_AVERAGED,
    RESNET,
)
