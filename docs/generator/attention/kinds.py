"""The page of the kinds of attention, and of what each adds to ResNet-50."""

from __future__ import annotations

from generator.markdown import paragraphs, table
from keras_attn.cost.attention import attention_cells, attention_notes


def page() -> str:
    """The page."""
    cells = attention_cells()
    rows = [
        (
            f"`{row['kind']}`",
            f"[`{row['layer']}`](../layers/{row['layer']}.md)",
            *list(row.values())[2:],
        )
        for row in cells
    ]
    return (
        "---\nhide: [toc]\n---\n\n# Kinds of attention\n\n"
        "These names go into `attention=` of the residual families and "
        "MnasNet, and into [`insert_attention`](../guides/insertion.md).\n\n"
        + table(list(cells[0]), rows, right=range(2, 7))
        + "\n"
        + paragraphs(attention_notes())
    )
