"""What a server answers that isn't classes: captions, boxes and masks, printed and drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_attn.cli.tables import print_json, print_table

CAPTIONS, BOXES, MASK = "captions", "boxes", "mask_bytes"
FORMS = (CAPTIONS, BOXES, MASK)
ATTENTION = "serve_attention"


def form_of(signatures: Mapping[str, Any], name: str) -> str | None:
    """Which of `FORMS` a signature answers in; `None` of classes, or where there is none."""
    outputs = signatures.get(name, {}).get("outputs", {})
    return next((form for form in FORMS if form in outputs), None)


def report(client: Any, url: str, form: str, signatures: Mapping[str, Any], args: Any) -> None:
    """Asks for files, prints what is answered, and draws it where `args.draw` says."""
    files = [Path(file).read_bytes() for file in args.files]
    looks = args.draw and form == CAPTIONS and ATTENTION in signatures
    answers: list[Any] = client.classify(
        url, files, **({"signature_name": ATTENTION} if looks else {})
    )
    if form == MASK:
        answers = [each if MASK in each else {MASK: each} for each in answers]
    rows = [_row(form, file, each) for file, each in zip(args.files, answers, strict=True)]
    if args.json:
        print_json(rows)
    elif form == BOXES:
        cells = [_cells(file, box) for file, row in zip(args.files, rows, strict=True)
                 for box in row["boxes"]]  # fmt: skip
        print_table(cells, narrow=("image", "class", "score", "x, y, width, height"), right="score")
    else:
        print_table([{key: _text(value) for key, value in row.items()} for row in rows],
                    narrow=list(rows[0]))  # fmt: skip
    if args.draw:
        path = _draw(form, args.files, answers, args.draw)
        if not args.json:
            print(path)


def _row(form: str, file: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    if form == CAPTIONS:
        return {"image": file, "caption": answer["captions"], "score": answer["scores"]}
    if form == BOXES:
        boxes = [
            {"class": label, "score": score, "box": box}
            for label, score, box in zip(
                answer["labels"], answer["scores"], answer["boxes"], strict=True
            )
            if score > 0
        ]
        return {"image": file, "boxes": boxes}
    import numpy as np

    mask = _mask(answer)
    numbers, counts = np.unique(mask, return_counts=True)
    shares = {str(n): round(float(c / mask.size), 4) for n, c in zip(numbers, counts, strict=True)}
    return {"image": file, "classes": shares}


def _cells(file: str, box: Mapping[str, Any]) -> dict[str, str]:
    corners = ", ".join(f"{side:.1f}" for side in box["box"])
    return {
        "image": file,
        "class": box["class"],
        "score": f"{box['score']:.2f}",
        "x, y, width, height": corners,
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {share:.2%}" for name, share in value.items())
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _mask(answer: Mapping[str, Any]) -> Any:
    """The classes of pixels, (h, w)."""
    import numpy as np

    from keras_attn.images.pillow import import_pillow

    data = base64.b64decode(answer[MASK]["b64"])
    return np.asarray(import_pillow().open(io.BytesIO(data)))


def _draw(form: str, files: Sequence[str], answers: Sequence[Any], out: str) -> Path:
    """Draws the answers over their images."""
    import numpy as np

    from keras_attn.explain.drawing.boxes import draw_boxes
    from keras_attn.explain.drawing.captions import draw_captions
    from keras_attn.explain.drawing.masks import draw_masks
    from keras_attn.images.reader import read_picture

    pictures = [np.asarray(read_picture(file, 3)) for file in files]
    if form == BOXES:
        kept = [np.asarray(answer["scores"]) > 0 for answer in answers]
        found = [
            {name: np.asarray(answer[name])[is_one] for name in ("boxes", "classes", "scores")}
            for answer, is_one in zip(answers, kept, strict=True)
        ]
        names = {
            int(number): label
            for answer in answers
            for number, label in zip(answer["classes"], answer["labels"], strict=True)
            if number >= 0
        }
        by_number = [names.get(number, str(number)) for number in range(1 + max(names, default=0))]
        return draw_boxes(pictures, found, out, class_names=by_number)
    if form == MASK:
        masks = [_mask(answer) for answer in answers]
        sides = {mask.shape for mask in masks}
        if len(sides) != 1 or len({picture.shape for picture in pictures}) != 1:
            raise ValueError("`--draw` needs images of one size for masks")
        return draw_masks(np.stack(pictures), np.stack(masks).astype(int), out)
    if "attention_search" not in answers[0]:
        raise ValueError("`--draw` needs a model whose `serve_attention` says where words look")
    shown = np.asarray([answer["image"] for answer in answers]) * 255
    words = [[word for word in answer["words"] if word] for answer in answers]
    maps = np.asarray([answer["attention_search"] for answer in answers])
    return draw_captions(shown, words, maps, out)
