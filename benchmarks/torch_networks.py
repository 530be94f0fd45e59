"""PyTorch's side of `networks.py`: runs timm's networks when told, in an environment of its own.

    python benchmarks/torch_networks.py SIDE

Needs torch and timm alone. Reads lines `NAME forward|step BATCH` from its standard input, runs that
once, and answers with the milliseconds; `versions` is answered with what it runs on.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import timm
import torch


@functools.lru_cache
def _network(name: str) -> Any:
    torch.manual_seed(0)
    network = timm.create_model(name)
    return network.to(memory_format=torch.channels_last)


@functools.lru_cache
def _images(batch: int, side: int) -> Any:
    images = torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(1))
    return images.to(memory_format=torch.channels_last)


def make(name: str, which: str, batch: int, side: int) -> Callable[[], Any]:
    """A forward pass without gradients, or a training step: loss, all gradients, SGD's update."""
    network, images = _network(name), _images(batch, side)
    if which == "forward":

        def forward() -> Any:
            with torch.inference_mode():
                return network.eval()(images)

        return forward
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-6, momentum=0.9)
    labels = torch.arange(batch)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network.train()(images), labels).backward()
        optimizer.step()

    return step


def main() -> None:
    """Answers until its input ends."""
    side = int(sys.argv[1])
    runs: dict[tuple[str, ...], Callable[[], Any]] = {}
    for line in sys.stdin:
        if line.strip() == "versions":
            print(f"torch {torch.__version__}, timm {timm.__version__}", flush=True)
            continue
        name, which, batch = key = tuple(line.split())
        if key not in runs:
            runs[key] = make(name, which, int(batch), side)
        start = time.perf_counter()
        runs[key]()
        print(1e3 * (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
