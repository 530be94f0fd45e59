"""Writes tests/golden/attention_module/*.npz: the authors' BAM and CBAM, run once.

It runs in the environment of `make_timm.py` and reads a clone of
https://github.com/Jongchan/attention-module, whose folder is its argument:

    git clone https://github.com/Jongchan/attention-module
    oracles/bin/python tests/golden/make_attention_module.py attention-module

The authors' BAM reads a name that its file doesn't define, which is given to it here.
"""

import importlib
import sys
import warnings
from pathlib import Path

import torch
from make_timm import save

FOLDER = Path(__file__).parent / "attention_module"

if __name__ == "__main__":
    sys.path.insert(0, str(Path(sys.argv[1]) / "MODELS"))
    bam, cbam = importlib.import_module("bam"), importlib.import_module("cbam")
    bam.gate_activation = None
    source = f"Jongchan/attention-module {sys.argv[2] if sys.argv[2:] else ''}".strip()
    source += f", torch {torch.__version__}"
    warnings.simplefilter("ignore")  # the code is older than this torch
    # The authors' BAM pools square maps only.
    save(FOLDER, "bam", bam.BAM(32), (2, 32, 7, 7), source)
    save(FOLDER, "cbam", cbam.CBAM(32), (2, 32, 7, 5), source)
    save(FOLDER, "channel_gate", cbam.ChannelGate(32), (2, 32, 7, 5), source)
    save(FOLDER, "spatial_gate", cbam.SpatialGate(), (2, 5, 7, 11), source)
