"""Draws a block of steps as SVG, whose colours are the page's."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape

TENSOR = re.compile(r"\((\w+'?)\)")
STEP = re.compile(r"(\w+) (\d+) (\d+) (.+?)(?: \| (.+))?")
CHARACTER, HEIGHT, GAP, BETWEEN = 7.6, 46, 26, 30  # pixels
RADIUS = 13


@dataclass
class Step:
    """A step of a block.

    Attributes:
        column: Its column, from the left.
        row: Its row, from the top.
        label: What it does; in brackets, the name of a tensor; one sign, a join.
        shape: The shape of what it gives.
        x: Its centre.
        y: Its centre.
        sources: The steps whose outputs it takes.
    """

    column: int
    row: int
    label: str
    shape: str
    x: float = 0
    y: float = 0
    sources: list[Step] = field(default_factory=list)

    @property
    def is_join(self) -> bool:
        """Whether it is drawn as a circle."""
        return len(self.label) == 1

    @property
    def width(self) -> float:
        """Its width in pixels."""
        longest = max(len(self.label), 2 + 0.88 * len(self.shape))
        return 2.0 * RADIUS if self.is_join else max(70, 22 + CHARACTER * longest)

    @property
    def height(self) -> float:
        """Its height in pixels."""
        return 2.0 * RADIUS if self.is_join else HEIGHT if self.shape else 32


def draw(block: str, title: str) -> str:
    """A figure of a block.

    Args:
        block: Its steps and connections, as `docs/layers/blocks.toml` says.
        title: What a screen reader says of it.

    Returns:
        An SVG element.
    """
    steps = _read(block)
    columns = [[s for s in steps if s.column == i] for i in range(1 + max(s.column for s in steps))]
    right = 4.0
    for column in columns:
        width = max((step.width for step in column), default=0)
        for step in column:
            step.x = right + width / 2
        right += width + BETWEEN
    bottom = 4.0
    for row in range(1 + max(step.row for step in steps)):
        height = max(step.height for step in steps if step.row == row)
        for step in steps:
            if step.row == row:
                step.y = bottom + height / 2
        bottom += height + GAP
    width, height = right - BETWEEN + 4, bottom - GAP + 4
    arrows = "".join(_arrow(source, step) for step in steps for source in step.sources)
    return (
        f'<div class="block"><svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'role="img" aria-label="{escape(title)}"><defs><marker id="arrow" viewBox="0 0 8 8" '
        'refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z"/></marker></defs>{arrows}{"".join(map(_shape, steps))}'
        "</svg></div>"
    )


def _read(block: str) -> list[Step]:
    steps: dict[str, Step] = {}
    for line in block.strip().splitlines():
        if " > " in line:
            names = line.split(" > ")
            for source, target in zip(names, names[1:], strict=False):
                steps[target].sources.append(steps[source])
        else:
            found = STEP.fullmatch(line)
            if found is None:
                raise ValueError(f"`block` must have steps and connections. Received: {line!r}")
            name, column, row, label, shape = found.groups()
            steps[name] = Step(int(column), int(row), label, shape or "")
    return list(steps.values())


def _arrow(source: Step, target: Step) -> str:
    """Down a column; else down and then to the side of a join, or aside and then down."""
    if source.x == target.x:
        points = [
            (source.x, source.y + source.height / 2),
            (target.x, target.y - target.height / 2),
        ]
    else:
        side = 1 if source.x > target.x else -1
        if source.row == target.row:
            start, corner = source.x - side * source.width / 2, (target.x, target.y)
            points = [(start, source.y), (target.x + side * target.width / 2, target.y)]
        elif len(target.sources) > 1:
            corner = (source.x, target.y)
            start = source.y + source.height / 2
            points = [(source.x, start), corner, (target.x + side * target.width / 2, target.y)]
        else:
            corner = (target.x, source.y)
            start = source.x - side * source.width / 2
            points = [(start, source.y), corner, (target.x, target.y - target.height / 2)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" marker-end="url(#arrow)"/>'


def _shape(step: Step) -> str:
    x, y = f"{step.x:.1f}", step.y
    if step.is_join:
        text = f'<text class="join" x="{x}" y="{y + 6:.1f}">{step.label}</text>'
        return f'<circle cx="{x}" cy="{y:.1f}" r="{RADIUS}"/>{text}'
    tensor = TENSOR.fullmatch(step.label)
    kind, corner = ("tensor", step.height / 2) if tensor else ("step", 5)
    rect = (
        f'<rect class="{kind}" x="{step.x - step.width / 2:.1f}" y="{y - step.height / 2:.1f}" '
        f'width="{step.width:.1f}" height="{step.height}" rx="{corner}"/>'
    )
    label = escape(tensor[1] if tensor else step.label)
    texts = f'<text x="{x}" y="{y + (-3 if step.shape else 5):.1f}">{label}</text>'
    if step.shape:
        texts += f'<text class="shape" x="{x}" y="{y + 14:.1f}">({escape(step.shape)})</text>'
    return rect + texts
