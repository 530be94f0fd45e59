"""The notebooks among the guides, with what they printed, as pages."""

from __future__ import annotations

import json
from typing import Any

from generator.markdown import ROOT


def pages() -> dict[str, str]:
    """The pages by their paths."""
    folder = ROOT / "docs/guides"
    return {
        f"guides/{path.stem}.md": _page(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(folder.glob("*.ipynb"))
    }


def _page(notebook: dict[str, Any]) -> str:
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [_output(output) for output in cell.get("outputs", ())]
    return "\n\n".join(parts) + "\n"


def _output(output: dict[str, Any]) -> str:
    picture = output.get("data", {}).get("image/png")
    if picture:
        return (
            f'<img alt="What the cell above draws" src="data:image/png;base64,{picture.strip()}">'
        )
    text = output.get("text") or output["data"]["text/plain"]
    return f"```text\n{''.join(text).strip()}\n```"
