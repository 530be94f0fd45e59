"""Writes tests/golden/family/*.npz: outputs and gradients of the authors' modules and of timm's.

It runs in the environment of `make_timm.py`, with timm 1.0.31. Its argument is a folder with clones
of the repositories of `REPOSITORIES`, each named as the part behind the slash; names behind it
write only these files:

    git clone https://github.com/ZjjConan/SimAM clones/SimAM    # and so on
    oracles/bin/python tests/golden/make_family.py clones [name ...]

Nothing of their packages is imported but the classes named here, which are read from their files:
several files need CUDA kernels, or modules that aren't there, for other things that they define.
"""

import ast
import functools
import importlib
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from make_timm import import_timm, layer, randomize
from torch import nn

FOLDER = Path(__file__).parent / "family"
SIZES = (7, 5), (4, 6)

# Repository -> the commit that was read.
REPOSITORIES = {
    "ZjjConan/SimAM": "ae98f43a34a051cc82f6e618853c690e1f4c92e6",
    "landskape-ai/triplet-attention": "2cf02fb91196408ac6352f7984a0336aa4f7677a",
    "wofmanaf/SA-Net": "00a676085e2ad12f3e2053109ece4840de6a5ce1",
    "implus/PytorchInsight": "2864528f8b83f52c3df76f7c3804aa468b91e5cf",
    "DeLightCMU/PSA": "20e307ad708ae6a39239aa50ffa32e0c36c92894",
    "YOLOonMe/EMA-attention-module": "afc37ecf52454c03421a86105fc5c16eb4ea1ad3",
    "StevenLauHKHK/Large-Separable-Kernel-Attention": "bb2a8d2cfd7e9ff48a34306197249d90153c8d4e",
    "facebookresearch/ConvNeXt-V2": "2553895753323c6fe0b2bf390683f5ea358a42b9",
    "junfu1115/DANet": "b0a0fa008148f102321cdaa7ca38fb0ddd0239d1",
    "speedinghzl/CCNet": "e54a97759c3218520037b5bf7ae2d45d678894f8",  # its branch pure-python
    "murufeng/EPSANet": "9955041a1db4591fae080d2e6edb25e2a2914d47",
    "csrhddlam/axial-deeplab": "79088edb4bdb8c94351d85f54272ec12b9e79c8b",
    "JDAI-CV/CoTNet": "895e02467d5691c5227f501732dc84390706a25f",
    "hyunjaelee410/style-based-recalibration-module": "f6221c77e797c4530dddba03616153708d636bd1",
    "z-x-yang/GCT": "68983edd87f8cfbe709b1b51214c69eb9c81abd7",
    "Kevinz-code/CSRA": "c8480d12742459809179eb0fc4ee0a88b6b98bfa",
}


def classes(clones, repository, path, *names, **given):
    """Classes and functions of a file, with what they need from outside of it.

    Args:
        clones: Folder of the clones.
        repository: Key of `REPOSITORIES`.
        path: The file's path in it.
        *names: The classes and functions.
        **given: Values of names that the file imports and isn't given here.
    """
    file = Path(clones) / repository.split("/")[1]
    commit = REPOSITORIES[repository]
    text = subprocess.run(
        ["git", "-C", file, "show", f"{commit}:{path}"], capture_output=True, text=True, check=True
    ).stdout
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if getattr(node, "name", None) in names]
    space = {
        "torch": torch,
        "nn": nn,
        "F": nn.functional,
        "math": math,
        "Parameter": nn.Parameter,
        **given,
    }
    exec(compile(tree, path, "exec"), space)
    found = [space[name] for name in names]
    for each in found:
        each.source = f"{repository} {commit[:10]}"
    return found if len(found) > 1 else found[0]


def save(name, module, channels, sizes=SIZES, *, source, channels_last=False):
    """Runs a module in inference, forward and back, on a random image of each size.

    It computes in float64, so that what differs later is our rounding alone.
    """
    randomize(module, seed=sum(map(ord, name)))
    module.eval().double()
    arrays = {f"state:{key}": value.numpy() for key, value in module.state_dict().items()}
    for i, size in enumerate(sizes):
        generator = torch.Generator().manual_seed(i)
        x = torch.randn((2, channels, *size), generator=generator).double().requires_grad_()
        given = x.permute(0, 2, 3, 1) if channels_last else x
        y = module(given)
        upstream = torch.randn(y.shape, generator=generator).double()
        module.zero_grad()
        y.backward(upstream)
        arrays |= {f"input:{i}": x, f"output:{i}": y, f"upstream:{i}": upstream}
        arrays[f"gradient:{i}:input"] = x.grad
        for key, value in module.named_parameters():
            arrays[f"gradient:{i}:{key}"] = value.grad.clone()
        if channels_last:
            for key in (f"output:{i}", f"upstream:{i}"):
                arrays[key] = arrays[key].permute(0, 3, 1, 2)
    arrays = {
        key: np.asarray(value.detach() if torch.is_tensor(value) else value, "float32")
        for key, value in arrays.items()
    }
    FOLDER.mkdir(exist_ok=True)
    source = f"{source}, torch {torch.__version__}"
    np.savez_compressed(FOLDER / f"{name}.npz", source=source, **arrays)
    print(f"{name}: {source}")


def gates(clones):
    """Name -> a function that makes the module, its channels, and where not `SIZES` its sizes."""
    read = functools.partial(classes, clones)

    def triplet(**options):
        path = "MODELS/triplet_attention.py"
        names = ("BasicConv", "ChannelPool", "SpatialGate", "TripletAttention")
        return read("landskape-ai/triplet-attention", path, *names)[-1](6, **options)

    def polarized(which):
        path = "semantic-segmentation/network/PSA.py"
        names = ("constant_init", "kaiming_init", which)
        return read("DeLightCMU/PSA", path, *names)[-1](24, 24)

    def large_kernel(size):
        repository = "StevenLauHKHK/Large-Separable-Kernel-Attention"
        return read(repository, "models/van.py", "LSKA")(5, size)

    simam = "networks/attentions/simam_module.py"
    groups = "classification/models/imagenet/resnet_sge.py"
    return {
        "effective_se": lambda: (layer("squeeze_excite", "EffectiveSEModule", 12), 12),
        "ceca": lambda: (layer("eca", "CecaModule", 24), 24),
        "ceca_128": lambda: (layer("eca", "CecaModule", 128), 128, ((2, 3), (3, 1))),
        "style_recalibration": lambda: (
            read(
                "hyunjaelee410/style-based-recalibration-module",
                "models/recalibration_modules.py",
                "SRMLayer",
            )(6),
            6,
        ),
        **{
            f"gated_channel_{mode}": lambda mode=mode: (
                read("z-x-yang/GCT", "PyTorch/GCT.py", "GCT")(6, mode=mode),
                6,
            )
            for mode in ("l2", "l1")
        },
        "simple_coordinate": lambda: (layer("coord_attn", "SimpleCoordAttn", 24), 24),
        "efficient_local": lambda: (layer("coord_attn", "EfficientLocalAttn", 12), 12),
        "efficient_local_bias": lambda: (
            layer("coord_attn", "EfficientLocalAttn", 12, kernel_size=3, bias=True),
            12,
        ),
        "strip": lambda: (layer("coord_attn", "StripAttn", 12), 12),
        "strip_bias": lambda: (layer("coord_attn", "StripAttn", 12, kernel_size=5, bias=True), 12),
        "strip_pools": lambda: (layer("coord_attn", "StripAttn", 12, use_conv=False), 12),
        "light_cbam": lambda: (layer("cbam", "LightCbamModule", 32), 32),
        "simam": lambda: (read("ZjjConan/SimAM", simam, "simam_module")(), 6),
        "global_response_normalization": lambda: (
            read("facebookresearch/ConvNeXt-V2", "models/utils.py", "GRN")(6),
            6,
        ),
        "triplet_attention": lambda: (triplet(), 6),
        "triplet_attention_no_spatial": lambda: (triplet(no_spatial=True), 6),
        "shuffle_attention": lambda: (
            read("wofmanaf/SA-Net", "models/sa_resnet.py", "sa_layer")(24, groups=3),
            24,
        ),
        "spatial_group_enhance": lambda: (
            read("implus/PytorchInsight", groups, "SpatialGroupEnhance")(3),
            12,
        ),
        "polarized_parallel": lambda: (polarized("PSA_p"), 24),
        "polarized_sequential": lambda: (polarized("PSA_s"), 24),
        "efficient_multi_scale_attention": lambda: (
            read("YOLOonMe/EMA-attention-module", "EMA_attention_module", "EMA")(12, factor=3),
            12,
        ),
        "large_separable_kernel_7": lambda: (large_kernel(7), 5),
        "large_separable_kernel_23": lambda: (large_kernel(23), 5),
    }


class Twice(nn.Module):
    """A module applied two times."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        type(self).source = type(module).source

    def forward(self, x):
        return self.module(self.module(x))


def minus_infinity(batch, height, width):
    """CCNet's INF, which asks for CUDA in the authors' code."""
    line = torch.full((height,), float("inf"))
    return -torch.diag(line, 0).unsqueeze(0).repeat(batch * width, 1, 1)


def maps_and_branches(clones):
    """As `gates`, of what makes maps, and of paths that are mixed."""
    read = functools.partial(classes, clones)

    def danet(which, channels):
        given = {name: getattr(nn, name) for name in ("Module", "Conv2d", "Softmax", "Parameter")}
        return read("junfu1115/DANet", "encoding/nn/da_att.py", which, **given)(channels)

    def criss_cross():
        given = {"INF": minus_infinity, "Softmax": nn.Softmax}
        path = "cc_attention/functions.py"
        return read("speedinghzl/CCNet", path, "CrissCrossAttention", **given)(16)

    def pyramid(**options):
        path = "models/SE_weight_module.py"
        weigh = read("murufeng/EPSANet", path, "SEWeightModule")
        names = ("conv", "PSAModule")
        make = read("murufeng/EPSANet", "models/epsanet.py", *names, SEWeightModule=weigh)[-1]
        return make(8, 64, conv_groups=[1, 2, 4, 8], **options)

    def split(*args, **kwargs):
        return layer("split_attn", "SplitAttn", *args, norm_layer=nn.BatchNorm2d, **kwargs)

    def lambdas(**options):
        return layer("lambda_layer", "LambdaLayer", 16, num_heads=4, dim_head=3, **options)

    return {
        "position_attention": lambda: (danet("PAM_Module", 16), 16),
        "channel_attention": lambda: (danet("CAM_Module", 6), 6),
        "criss_cross_attention": lambda: (criss_cross(), 16),
        "criss_cross_attention_twice": lambda: (Twice(criss_cross()), 16),
        "split_attention": lambda: (split(12), 12),
        "split_attention_strided": lambda: (split(12, 8, stride=2, groups=2), 12),
        "split_attention_radix_1": lambda: (split(6, radix=1, kernel_size=1), 6),
        "pyramid_squeeze_attention": lambda: (pyramid(), 8),
        "pyramid_squeeze_attention_strided": lambda: (pyramid(stride=2), 8),
        "lambda_layer": lambda: (lambdas(r=5), 16),
        "lambda_layer_table": lambda: (lambdas(r=None, feat_size=(5, 3)), 16, ((5, 3), (5, 3))),
    }


class LocalConvolution(nn.Module):
    """CoTNet's, whose CUDA kernel gives each channel c the weights c % their number."""

    def __init__(self, channels, _, kernel_size, stride, padding, dilation):
        super().__init__()
        self.unfold = nn.Unfold(kernel_size, dilation, padding, stride)

    def forward(self, x, weight):
        batch, channels, height, width = x.shape
        number, places = weight.shape[2:4]
        seen = self.unfold(x).view(batch, channels // number, number, places, height, width)
        return (seen * weight).sum(3).view(x.shape)


class Swish(nn.SiLU):
    """As CoTNet's `get_act_layer` gives it."""


def local_and_others(clones):
    """As `gates`, of what attends along lines and in windows, and of a classifier."""
    read = functools.partial(classes, clones)

    def axial(length, **options):
        path = "lib/models/axialnet.py"
        given = {"qkv_transform": nn.Conv1d}
        make = read("csrhddlam/axial-deeplab", path, "AxialAttention", **given)
        return make(6, 8, groups=2, kernel_size=length, **options)

    def transformer(size):
        given = {"LocalConvolution": LocalConvolution, "get_act_layer": lambda _: Swish}
        return read("JDAI-CV/CoTNet", "models/cotnet.py", "CotLayer", **given)(16, size)

    def residual(which, *args):
        found = read("Kevinz-code/CSRA", "pipeline/csra.py", "CSRA", "MHA")
        return found[which](*args)

    def outlook(**options):
        module = importlib.import_module("timm.models.volo")
        return module.OutlookAttention(12, 3, **options)

    def bilinear():
        return layer("non_local_attn", "BatNonLocalAttn", 16, block_size=2, rd_channels=8)

    return {
        "axial_attention_height": lambda: (axial(7), 6, ((7, 5), (7, 3))),
        "axial_attention_width": lambda: (axial(5, width=True), 6, ((7, 5), (3, 5))),
        "outlook_attention": lambda: (outlook(), 12),
        "outlook_attention_strided": lambda: (outlook(stride=2, qkv_bias=True), 12),
        "contextual_transformer": lambda: (transformer(3), 16),
        "contextual_transformer_5": lambda: (transformer(5), 16),
        "class_specific": lambda: (residual(0, 6, 5, 2.0, 0.3), 6),
        "class_specific_max": lambda: (residual(0, 6, 5, 99, 0.3), 6),
        "class_specific_heads": lambda: (residual(1, 4, 0.2, 6, 5), 6),
        "bilinear_attention": lambda: (bilinear(), 16, ((4, 6), (8, 2))),
    }


# They take (B, H, W, C).
LAST = {"global_response_normalization", "outlook_attention", "outlook_attention_strided"}

if __name__ == "__main__":
    clones, *names = sys.argv[1:]
    version = import_timm().__version__
    makers = {**gates(clones), **maps_and_branches(clones), **local_and_others(clones)}
    for name in names or makers:
        module, channels, *sizes = makers[name]()
        source = getattr(type(module), "source", f"timm {version}")
        save(name, module, channels, *sizes, source=source, channels_last=name in LAST)
