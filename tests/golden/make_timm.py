"""Writes tests/golden/timm/*.npz: timm's attention modules with random weights, run once.

It runs in an environment of its own; no test needs it. timm 1.0.31 gives all but Gather-Excite,
whose forms with weights can't be constructed there; these come from timm 1.0.19:

    python3.11 -m venv oracles
    oracles/bin/pip install torch==2.13.0 pyyaml huggingface_hub safetensors pillow
    oracles/bin/pip install --no-deps torchvision==0.28.0 timm==1.0.31
    oracles/bin/python tests/golden/make_timm.py
    oracles/bin/pip install --no-deps timm==1.0.19
    oracles/bin/python tests/golden/make_timm.py

Where torch is a CPU build and torchvision isn't, move torchvision's `_C.so` away first.
"""

import importlib
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent / "timm"


def import_timm():
    """timm imports torchvision, which registers operators that aren't there without its `_C.so`."""
    register = torch.library.register_fake

    def register_fake(op, *args, **kwargs):
        if isinstance(op, str) and op.startswith("torchvision::"):
            return lambda function: function
        return register(op, *args, **kwargs)

    torch.library.register_fake = register_fake
    importlib.import_module("torchvision")
    torch.library.register_fake = register
    return importlib.import_module("timm")


def randomize(module, seed):
    """Every weight and statistic random, so that no zero or one hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if value.dtype != torch.float32:
            continue
        normal = torch.randn(value.shape, generator=generator)
        value.copy_(normal.abs() + 0.5 if name.endswith("running_var") else 0.5 * normal)


def save(folder, name, module, shape, source):
    """Runs the module on a random (B, C, H, W) and saves state, input and output."""
    randomize(module, seed=sum(map(ord, name)))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = module.eval()(x)
    folder.mkdir(exist_ok=True)
    state = {f"state:{key}": value.numpy() for key, value in module.state_dict().items()}
    np.savez_compressed(
        folder / f"{name}.npz", input=x.numpy(), output=y.numpy(), source=source, **state
    )
    print(f"{name}: {tuple(x.shape)} -> {tuple(y.shape)}")


def layer(module, name, *args, **kwargs):
    """A timm layer by the file that it is in."""
    return getattr(importlib.import_module(f"timm.layers.{module}"), name)(*args, **kwargs)


def gather_excite():
    for extent in (0, 2, 4, 8):
        module = layer("gather_excite", "GatherExcite", 6, extent=extent, use_mlp=False)
        yield f"gather_excite_theta_minus_{extent or 'global'}", module, (2, 6, 11, 9)
    for extent in (2, 4, 8):
        options = {"extent": extent, "use_mlp": False, "extra_params": True}
        module = layer("gather_excite", "GatherExcite", 6, **options)
        yield f"gather_excite_theta_{extent}", module, (2, 6, 11, 9)


def others():
    yield "se_module", layer("squeeze_excite", "SEModule", 48), (2, 48, 3, 5)
    yield "cbam", layer("cbam", "CbamModule", 32), (2, 32, 7, 5)
    yield "cbam_bias", layer("cbam", "CbamModule", 32, mlp_bias=True), (2, 32, 7, 5)
    yield "eca", layer("eca", "EcaModule", 24), (2, 24, 3, 5)
    yield "eca_128", layer("eca", "EcaModule", 128), (2, 128, 2, 3)
    module = layer("global_context", "GlobalContext", 24, fuse_add=True, fuse_scale=False)
    yield "global_context_add", module, (2, 24, 3, 5)
    yield "global_context_scale", layer("global_context", "GlobalContext", 24), (2, 24, 3, 5)
    module = layer("non_local_attn", "NonLocalAttn", 14, use_scale=False, rd_channels=7)
    yield "non_local", module, (2, 14, 3, 5)
    module = layer("selective_kernel", "SelectiveKernel", 12, split_input=False)
    yield "selective_kernel", module, (2, 12, 7, 5)
    yield "selective_kernel_split", layer("selective_kernel", "SelectiveKernel", 12), (2, 12, 7, 5)
    module = layer("selective_kernel", "SelectiveKernel", 12, 10, stride=2, groups=2)
    yield "selective_kernel_split_strided", module, (2, 12, 8, 5)
    yield "coord_attn", layer("coord_attn", "CoordAttn", 24), (2, 24, 3, 5)
    yield "coord_attn_bias", layer("coord_attn", "CoordAttn", 24, bias=True), (2, 24, 3, 5)
    for name, scaled in (("", False), ("_scaled", True)):
        options = {"num_heads": 2, "dim_head": 3, "qkv_bias": scaled, "scale_pos_embed": scaled}
        module = layer("bottleneck_attn", "BottleneckAttn", 8, feat_size=(3, 5), **options)
        yield f"bottleneck_attn{name}", module, (2, 8, 3, 5)
        module = layer("halo_attn", "HaloAttn", 8, block_size=4, halo_size=1, **options)
        yield f"halo_attn{name}", module, (2, 8, 8, 12)
    module = layer("halo_attn", "HaloAttn", 8, num_heads=4, dim_head=2)
    yield "halo_attn_8_3", module, (1, 8, 8, 16)
    options = {"num_heads": 2, "dim_head": 3, "block_size": 4, "halo_size": 1, "stride": 2}
    yield "halo_attn_strided", layer("halo_attn", "HaloAttn", 8, **options), (2, 8, 8, 12)


if __name__ == "__main__":
    version = import_timm().__version__
    for name, module, shape in gather_excite() if version == "1.0.19" else others():
        save(FOLDER, name, module, shape, f"timm {version}, torch {torch.__version__}")
