"""The page of the kinds of attention, and of what each adds to ResNet-50."""

from __future__ import annotations

from generator.markdown import paragraphs, table
from keras_attn.cost.attention import attention_cells, attention_notes, attention_rows

LEFT = ("kind", "layer", "paper", "form", "stands")


def page() -> str:
    """The page."""
    rows = attention_rows()
    cells = [
        {
            **each,
            "kind": f"`{each['kind']}`",
            "layer": f"[`{each['layer']}`](../layers/{each['layer']}.md)",
            "paper": f"[{each['paper']}]({rows[each['kind']].link})",
        }
        for each in attention_cells()
    ]
    heading = [name for name in cells[0] if any(each[name] != "-" for each in cells)]
    right = [i for i, name in enumerate(heading) if name not in LEFT]
    return (
        "---\nhide: [toc]\n---\n\n# Kinds of attention\n\n"
        "These names go into `attention=` of the residual families and "
        "MnasNet, and into [`insert_attention`](../guides/insertion.md). "
        "[Which attention to choose](../guides/choosing.md) helps with the choice, "
        "[How exact they are](../results/kinds.md) says what each was compared with, and "
        "[Collections](collections.md) under which names others have them.\n\n"
        + table(heading, [[each[name] for name in heading] for each in cells], right=right)
        + "\n"
        + paragraphs(attention_notes())
    )
