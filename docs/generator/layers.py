"""A page for each public layer."""

from __future__ import annotations

import inspect
import tomllib
from typing import Any, get_args

import keras

from generator.figures import draw
from generator.markdown import ROOT, sections, table
from keras_attn import layers
from keras_attn.cost import count_cost
from keras_attn.layers import contract

DRAWERS = {
    "gates": "Gates and masks",
    "self_attention": "Self-attention",
    "residual_attention": "The Residual Attention Network's",
    "glimpses": "Choosing where to look",
    "captions": "Words and where they look",
    "segmentation": "Of each pixel",
    "detection": "Boxes",
    "building_blocks": "Building blocks",
}
FORMS = {
    "channel_gate": "a weight for each channel",
    "place_gate": "a weight for each place",
    "mask": "a weight for each place and channel",
    "map": "a weight for each query and key",
    "steps": "a weight for each place at each step",
    "boxes": "parts of the image, one after another",
}


def pages() -> tuple[dict[str, str], list[Any]]:
    """The pages by their paths, and their part of the navigation."""
    with open(ROOT / "docs/layers/blocks.toml", "rb") as file:
        blocks = tomllib.load(file)
    public = {name: cls for name, cls in vars(layers).items() if inspect.isclass(cls)}
    if set(public) != set(blocks):
        raise ValueError(
            "docs/layers/blocks.toml must have a block for each public layer. "
            f"Received: {sorted(set(public) ^ set(blocks))} in one of them only"
        )
    texts: dict[str, str] = {}
    rows: dict[str, list[tuple[str, ...]]] = {drawer: [] for drawer in DRAWERS}
    for name, cls in public.items():
        path, drawer = f"layers/{name}.md", cls.__module__.split(".")[2]
        cost = _cost(blocks[name])
        texts[path] = _page(name, cls, blocks[name], cost)
        summary = sections(cls)[""].splitlines()[0]
        counted = tuple("" if number is None else f"{number:,}" for number in cost)
        rows[drawer].append((f"[`{name}`]({name}.md)", summary, *counted))
    texts["layers/index.md"] = _index(rows)
    navigation = [
        {title: [f"layers/{name}.md" for name in public if _is_in(public[name], drawer)]}
        for drawer, title in DRAWERS.items()
    ]
    return texts, ["layers/index.md", *navigation, "layers/contract.md"]


def _is_in(cls: type, drawer: str) -> bool:
    return cls.__module__.split(".")[2] == drawer


def _index(rows: dict[str, list[tuple[str, ...]]]) -> str:
    heading = ("layer", "what it is", "weights", "MACs")
    parts = [
        f"## {title}\n\n{table(heading, rows[drawer], right=(2, 3))}"
        for drawer, title in DRAWERS.items()
    ]
    return (
        "# Layers\n\nAll load from `.keras` files after `import keras_attn`, with safe mode on and "
        "no `custom_objects`. Each page says on which map its layer was built and counted.\n\n"
        + "\n".join(parts)
    )


def _cost(block: dict[str, Any]) -> tuple[int, int | None]:
    """Weights, and multiply-accumulates for one map; a loop's are not counted."""
    image = keras.Input(tuple(block["input"]))
    layer = eval(block["example"], dict(vars(layers)))  # a file of ours, not a stranger's
    others = [keras.ops.zeros((1, *shape)) for shape in block.get("others", ())]
    given = [image, *others]
    if block.get("lists"):
        given = [[each, each] for each in given]
    model = keras.Model(image, layer(*given))
    cost = None if block.get("loops") else count_cost(model)
    weights = layer.count_params() if cost is None else cost.trainable
    keras.backend.clear_session()
    return weights, cost and cost.macs


def _page(name: str, cls: type, block: dict[str, Any], cost: tuple[int, int | None]) -> str:
    text = sections(cls)
    source = inspect.getsourcefile(cls) or ""
    file = source[source.rindex("keras_attn/") :]
    *sides, channels = block["input"]
    one = f"a map of {sides[0]}x{sides[0]}" if len(sides) == 2 else f"{sides[0]:,} places"
    parts = [
        f"# {name}",
        text[""],
        draw(block["block"], f"The steps of {name}"),
        block.get("note", ""),
        "## Shapes",
        f"**Input:** {text['Input shape']}",
        f"**Output:** {text['Output shape']}",
        *_attention(cls),
        "## Cost",
        f"`{block['example']}` on {one} with {channels} channels has "
        f"{cost[0]:,} trainable weights"
        + (
            ". What it multiplies hangs on where its loop ends, and is not counted."
            if cost[1] is None
            else f" and {cost[1]:,} multiply-accumulates for an image, as "
            "[`count_cost`](../reference/cost.md) counts them."
        ),
        "## Example",
        f"```pycon\n>>> import keras, keras_attn\n>>> import numpy as np\n{text['Example']}\n```",
        "## Arguments",
        f"::: {cls.__module__}.{name}\n    options:\n      show_root_heading: false\n"
        "      show_root_toc_entry: false\n      show_docstring_description: false\n"
        "      show_docstring_examples: false\n      members: []\n      show_bases: false",
        f"## Source {{ data-search-exclude }}\n\n`{file}`",
        '??? quote "The layer\'s code"\n\n    ```python\n'
        + "".join(f"    {line}" for line in inspect.getsourcelines(cls)[0])
        + "    ```",
    ]
    return "\n\n".join(parts) + "\n"


def _attention(cls: Any) -> list[str]:
    """What `return_attention` gives."""
    if "return_attention" not in inspect.signature(cls.call).parameters:
        return []
    says = sections(cls)["Call arguments"].partition("return_attention: Whether to return ")[2]
    form = getattr(cls, "attention_form", None)
    if form is None:  # a part of another layer, which says what is drawn
        return [f"**Attention:** with `return_attention=True` it returns {' '.join(says.split())}"]
    if isinstance(form, property) or form not in get_args(contract.Form):
        what = "a form that follows from its arguments"
    else:
        what = f"a `{form}`: {FORMS[form]}"
    return [
        f"**Attention:** with `return_attention=True` it returns {' '.join(says.split())} "
        f"The attention is {what}. "
        "[What layers say of themselves](contract.md) has the forms and their layouts."
    ]
