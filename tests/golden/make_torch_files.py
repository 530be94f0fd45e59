"""Writes tests/golden/torch_files/: state dicts as PyTorch itself saves them, and their numbers.

It runs in the environment of `make_timm.py`:

    oracles/bin/python tests/golden/make_torch_files.py
"""

from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent / "torch_files"

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5))
    state = module.state_dict()
    base = torch.randn(7, 4)
    views = {
        "whole": base,
        "transposed": base.t(),
        "part": base[2:5, 1:3],
        "half": base.half(),
        "bfloat16": base.bfloat16(),
        "long": torch.arange(6).reshape(2, 3),
        "bool": base > 0,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    }
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    module(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 90,
        "arch": "resnet",
        "best_acc1": torch.tensor(77.6),
        "state_dict": torch.nn.DataParallel(module).state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    expected = {f"state:{key}": value.float().numpy() for key, value in state.items()}
    expected |= {f"views:{key}": value.detach().float().numpy() for key, value in views.items()}
    for key, value in checkpoint["state_dict"].items():
        expected[f"checkpoint:{key.removeprefix('module.')}"] = value.float().numpy()
    contents = {"state": state, "views": views, "checkpoint": checkpoint}
    for name, content in contents.items():
        torch.save(content, FOLDER / f"{name}.pth")
        torch.save(content, FOLDER / f"{name}_old.pth", _use_new_zipfile_serialization=False)
    # A whole module needs its class, and so code: it is to be refused.
    torch.save(module, FOLDER / "module.pth")
    torch.save(module, FOLDER / "module_old.pth", _use_new_zipfile_serialization=False)
    np.savez_compressed(FOLDER / "expected.npz", **expected)
    print(torch.__version__, *(path.name for path in sorted(FOLDER.iterdir())))
