"""A version of a model that is loaded and can be asked."""

import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from keras_attn.serving.errors import invalid_argument
from keras_attn.serving.models.images import MAX_PIXELS, PixelBudget, network_sides
from keras_attn.serving.models.session import SERVE_TAGS, ModelSession
from keras_attn.serving.models.signatures import Signature, check_dtypes

DEFAULT_SIGNATURE = "serving_default"
# The session keeps a plan for each set of outputs that it was asked for, and clients choose them.
MAX_OUTPUT_SETS = 64

# Feeds and fetches by the names of the graph's tensors -> arrays.
Run = Callable[[Mapping[str, np.ndarray], Sequence[str]], list[np.ndarray]]


class ServedModel:
    """One version of a model.

    Args:
        folder: The version folder, `base/<version>`.
        name: Name of the model for clients. Default: the name of the base folder.
        version: Default: the number that is the folder's name.
        max_pixels: The pixels that the images of one request may come to.
        tags: Tags of the graph to take from the SavedModel: all of them, and no other.
        wrap_run: Gets the session's `run` and returns what is called for it, such as a queue that
            gathers batches.

    Attributes:
        name: Name of the model for clients.
        version: Number of the version.
        folder: Folder that it was loaded from.
        signature_defs: The signatures as the SavedModel has them.
        signatures: The inputs and outputs of each signature.
        budget: The limit on the images of one request.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        version: int | None = None,
        max_pixels: int = MAX_PIXELS,
        tags: Sequence[str] = SERVE_TAGS,
        wrap_run: Callable[[Run], Run] | None = None,
    ):
        self.folder = pathlib.Path(folder).resolve()
        self.name = check_name(self.folder.parent.name if name is None else name)
        if version is None:
            if not re.fullmatch("[0-9]+", self.folder.name):
                raise ValueError(
                    "`version` must be given where the folder's name is no number. "
                    f"Received: folder={str(folder)!r}"
                )
            version = int(self.folder.name)
        self.version = version
        self.session = ModelSession(self.folder, tags=tags)
        self.signature_defs = self.session.signature_defs
        self.signatures = self.session.signatures
        self.budget = PixelBudget(
            max_pixels, sides=network_sides(self.signatures), decodes=self.session.decodes_images
        )
        self._run: Run = self.session.run if wrap_run is None else wrap_run(self.session.run)
        self._output_sets: set[tuple[str, ...]] = set()

    def signature(self, name: str = "") -> tuple[str, Signature]:
        """Returns the name and the signature, `serving_default` for `""`."""
        name = name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
        return name, self.signatures[name]

    def predict(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        signature_name: str = "",
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            inputs: One array for each input.
            signature_name: Default: `serving_default`.
            outputs: The names of those to compute. Default: all.

        Returns:
            One array for each output.
        """
        _, signature = self.signature(signature_name)
        check_dtypes(signature, inputs)
        self.budget.check_shapes(signature, {name: array.shape for name, array in inputs.items()})
        self.budget.check_strings(inputs.values())
        feeds = {signature.inputs[name].name: inputs[name] for name in sorted(inputs)}
        wanted = list(signature.outputs) if outputs is None else list(outputs)
        fetches = self._fetches(signature, wanted)
        arrays = dict(zip(fetches, self._run(feeds, fetches), strict=True))
        return {name: arrays[signature.outputs[name].name] for name in wanted}

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> list[np.ndarray]:
        """Runs tensors of the graph, through the queue where there is one."""
        return self._run(feeds, fetches)

    def close(self) -> None:
        """Frees its memory. Nobody may ask any more."""
        self.session.close()

    def _fetches(self, signature: Signature, wanted: Sequence[str]) -> tuple[str, ...]:
        """Distinct names of the graph's tensors: those of `wanted`, of all past some many sets."""
        fetches = tuple(sorted({signature.outputs[name].name for name in wanted}))
        if fetches not in self._output_sets and len(self._output_sets) >= MAX_OUTPUT_SETS:
            return tuple(sorted({info.name for info in signature.outputs.values()}))
        self._output_sets.add(fetches)
        return fetches


def check_name(name: str) -> str:
    """Returns the name of a model; ValueError where no URL could name it."""
    if not isinstance(name, str) or not re.fullmatch("[^/:]+", name):
        raise ValueError(
            f"`name` must be a non-empty string without '/' and ':'. Received: name={name!r}"
        )
    return name
