"""RA-CNN's training in turns: the classifiers, then what proposes where they look, and again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn._checks import check_non_negative_int, check_positive_int
from keras_attn._keras import layers_of
from keras_attn._staging import written_whole
from keras_attn.applications import ScaleClassifier
from keras_attn.applications.racnn.classifier import TERMS
from keras_attn.layers import AttentionProposal
from keras_attn.layers.glimpses.attention_proposal import inside

FILE = "alternating.npz"


@dataclasses.dataclass(frozen=True)
class Turns:
    """How `alternate` trains. `rounds` may grow where a training goes on; the rest must stay.

    Attributes:
        rounds: Number of rounds: the classifiers' turn, then the proposals'; 0 for the pre-training
            alone.
        epochs: Most epochs of a turn.
        patience: A turn ends after this number of epochs whose loss wasn't below the turn's least
            one by `min_delta`.
        min_delta: See `patience`.
        pretraining_epochs: Epochs of the proposals' pre-training; 0 for none.
        batch_size: Number of images of a step.
        seed: Seed of the images' order.
    """

    rounds: int = 3
    epochs: int = 10
    patience: int = 2
    min_delta: float = 1e-3
    pretraining_epochs: int = 5
    batch_size: int = 32
    seed: int = 0


@dataclasses.dataclass
class _State:
    """Where a training is."""

    pretrained: int = 0  # proposals
    turn: int = 0  # two in a round
    waited: int = 0  # epochs of the turn without a better loss
    losses: list[float] = dataclasses.field(default_factory=list)  # of the turn's epochs
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)


def alternate(
    model: ScaleClassifier,
    images: np.ndarray,
    labels: np.ndarray,
    folder: str | os.PathLike[str],
    *,
    optimizer: Any = "adam",
    turns: Turns | None = None,
) -> list[dict[str, Any]]:
    """Trains an RA-CNN in the paper's turns, and goes on where an earlier call was stopped.

    Fu et al., "Look Closer to See Better", CVPR 2017. First each proposal learns, the others fixed,
    the square around the strongest mean response of the features that it sees. Then in turns: the
    classifiers, with the proposals fixed, by the sum of their cross-entropies until it settles; the
    proposals, with all else fixed, by the ranking loss. Each turn begins with a fresh optimizer.

    After each epoch one file in `folder` has all that the next one needs, written whole: called
    again with a model of the same architecture and the same arguments, it gives what it would have
    given at once. What is frozen stays frozen. Compile the model afterwards, before it trains on.

    Args:
        model: RA-CNN, as `keras_attn.applications.RACNN` makes it.
        images: (N, H, W, C), as the model takes them.
        labels: (N,), numbers of the classes.
        folder: Folder for the file `alternating.npz`; it is made where it is missing.
        optimizer: Optimizer of the pre-training and of each turn: whatever `keras.optimizers.get`
            takes.
        turns: How long, and the rest; see `Turns`.

    Returns:
        A dict for each turn that has ended: `"round"`, `"turn"` (the term that was trained),
        `"losses"` of its epochs, and of all images afterwards the terms `"classification"` and
        `"ranking"`: what one of them gains, the other may lose.

    Raises:
        ValueError: If the model is no RA-CNN or all its proposals are frozen, numbers don't fit
            each other, or the file in `folder` is of another model, other data or other arguments.

    Example:

    >>> backbone = keras_attn.applications.CIFARResNet(8, include_top=False)
    >>> model = keras_attn.applications.RACNN(
    ...     backbone, 10, scales=2, input_shape=(32, 32, 3), units=16)
    >>> images, labels = np.zeros((4, 32, 32, 3)), np.arange(4)
    >>> turns = Turns(rounds=1, epochs=1, pretraining_epochs=1)
    >>> [turn["turn"] for turn in alternate(model, images, labels, "turns", turns=turns)]
    ['classification', 'ranking']
    """
    turns = turns or Turns()
    images, labels = np.asarray(images), np.asarray(labels).reshape(-1)
    _check(model, images, labels, turns)
    terms = model.terms
    run = _Run(model, images, labels, Path(folder), keras.optimizers.get(optimizer), turns)
    try:
        run.pretrain()
        while run.state.turn < 2 * turns.rounds:
            run.take_turn()
    finally:
        model.terms = terms
        run.thaw()
    return run.state.history


class _Run:
    """One call of `alternate`."""

    def __init__(
        self,
        model: ScaleClassifier,
        images: np.ndarray,
        labels: np.ndarray,
        folder: Path,
        optimizer: keras.optimizers.Optimizer,
        turns: Turns,
    ) -> None:
        self.model, self.images, self.labels, self.turns = model, images, labels, turns
        self.optimizer = optimizer
        parts = [part for layer in model.layers for part in layers_of(layer)]
        self.flags = [(part, part.trainable) for part in parts]
        self.file = folder / FILE
        described = {
            **dataclasses.asdict(turns),
            "images": list(images.shape),
            "labels": hashlib.sha256(labels.astype("int64").tobytes()).hexdigest(),
            "optimizer": {
                **keras.saving.serialize_keras_object(optimizer.get_config()),
                "name": type(optimizer).__name__,  # for Keras's own, which has a number
            },
        }
        del described["rounds"]
        self.described = json.loads(json.dumps(described, default=str))
        self.state = _State()
        self.of_optimizer: list[np.ndarray] | None = None
        model.terms = TERMS
        if self.file.is_file():
            self._load()
        else:
            self._save()

    def pretrain(self) -> None:
        """Has each proposal find the strongest response of the features that it sees."""
        for number, proposal in enumerate(_proposals(self.model)):
            if number < self.state.pretrained:
                continue
            if self.turns.pretraining_epochs:
                seen = keras.Model(self.model.inputs[0], proposal.input)
                features = seen.predict(self.images, batch_size=self.turns.batch_size, verbose=0)
                given = keras.Input(features.shape[1:])
                learner = keras.Model(given, proposal(given, clamp=False))
                learner.compile(self._fresh(), "huber")
                targets = strongest(features, proposal)
                for epoch in range(self.turns.pretraining_epochs):
                    order = self._order(0, number, epoch)
                    self._fit(learner, features[order], targets[order])
            self.state.pretrained = number + 1
            self._save()

    def take_turn(self) -> None:
        """Trains one turn, from its first epoch or from where it was stopped."""
        state, turns = self.state, self.turns
        term = TERMS[state.turn % 2]
        self.thaw()
        is_proposals = term == "ranking"
        for layer in self.model.layers:
            if isinstance(layer, AttentionProposal) != is_proposals:
                layer.trainable = False
        self.model.terms = (term,)
        self.model.compile(self._fresh())
        optimizer = self.model.optimizer
        optimizer.build(self.model.trainable_variables)
        if state.losses and self.of_optimizer is not None:
            for variable, value in zip(optimizer.variables, self.of_optimizer, strict=True):
                variable.assign(value)
        while len(state.losses) < turns.epochs and state.waited < turns.patience:
            order = self._order(1, state.turn, len(state.losses))
            loss = self._fit(self.model, self.images[order], self.labels[order])
            is_better = loss < min(state.losses, default=float("inf")) - turns.min_delta
            state.waited = 0 if is_better else state.waited + 1
            state.losses.append(loss)
            self._save(optimizer)
        state.history.append(
            {"round": state.turn // 2, "turn": term, "losses": state.losses, **self._terms()}
        )
        state.turn, state.waited, state.losses = state.turn + 1, 0, []
        self._save()

    def thaw(self) -> None:
        """Freezes what was frozen when training began, and that alone."""
        for part, flag in self.flags:
            part.trainable = flag  # each by itself, see `freeze`

    def _terms(self) -> dict[str, float]:
        """The mean of each term over all images, as the model is at inference."""
        found = self.model.predict(self.images, batch_size=self.turns.batch_size, verbose=0)
        terms = self.model.loss_terms(self.labels, found)
        return {name: float(ops.mean(value)) for name, value in terms.items()}

    def _fit(self, model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
        """The loss of one epoch."""
        size = self.turns.batch_size
        history = model.fit(x, y, batch_size=size, shuffle=False, verbose=0).history
        return float(history["loss"][0])

    def _fresh(self) -> keras.optimizers.Optimizer:
        return type(self.optimizer).from_config(self.optimizer.get_config())

    def _order(self, *numbers: int) -> np.ndarray:
        rng = np.random.default_rng([self.turns.seed, *numbers])
        return rng.permutation(len(self.labels))

    def _save(self, optimizer: keras.optimizers.Optimizer | None = None) -> None:
        arrays = {f"model{i}": _array(v) for i, v in enumerate(self.model.variables)}
        if optimizer is not None:
            arrays |= {f"optimizer{i}": _array(v) for i, v in enumerate(optimizer.variables)}
        saved = {"state": dataclasses.asdict(self.state), "of": self.described}
        arrays["text"] = np.asarray(json.dumps(saved))
        with written_whole(self.file) as beside:
            np.savez(beside, allow_pickle=False, **arrays)

    def _load(self) -> None:
        try:
            with np.load(self.file) as file:
                arrays = dict(file)
            saved = json.loads(str(arrays["text"]))
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
            raise ValueError(f"{self.file} is no file of `alternate`: {error}") from error
        if saved["of"] != self.described:
            differ = [key for key in self.described if saved["of"].get(key) != self.described[key]]
            raise ValueError(
                f"`folder` must be of the same data and arguments, or a new one. Received: "
                f"{self.file}, of another {', '.join(differ)}"
            )
        values = [arrays[f"model{i}"] for i in range(sum(k.startswith("model") for k in arrays))]
        shapes = [tuple(variable.shape) for variable in self.model.variables]
        if shapes != [value.shape for value in values]:
            raise ValueError(
                "`folder` must be of a model of the same architecture, or a new one. Received: "
                f"{self.file}, with {len(values)} variables of other shapes"
            )
        for variable, value in zip(self.model.variables, values, strict=True):
            variable.assign(value)
        self.state = _State(**saved["state"])
        number = sum(key.startswith("optimizer") for key in arrays)
        self.of_optimizer = [arrays[f"optimizer{i}"] for i in range(number)] or None


def strongest(features: np.ndarray, proposal: AttentionProposal) -> np.ndarray:
    """The box around each image's strongest response, which a proposal is pre-trained to.

    Args:
        features: (N, h, w, C).
        proposal: Layer whose bounds the box keeps: its half side is a quarter of the image's, the
            paper's, or the layer's `min_half` where that is more.

    Returns:
        float32 (N, 4) in `BoxCrop2D`'s normalized units, inside the image.
    """
    means = features.astype("float32").mean(axis=-1)
    height, width = means.shape[1:]
    row, column = np.divmod(means.reshape(len(means), -1).argmax(axis=-1), width)
    centre = np.stack([(row + 0.5) / height, (column + 0.5) / width], axis=-1) * 2 - 1
    half = np.full((len(means), 2), 2 * max(0.25, proposal.min_half))
    boxes = np.concatenate([centre, half], axis=-1).astype("float32")
    held: np.ndarray = ops.convert_to_numpy(inside(ops.convert_to_tensor(boxes), proposal.min_half))
    return held


def _proposals(model: keras.Model) -> list[AttentionProposal]:
    return [layer for layer in model.layers if isinstance(layer, AttentionProposal)]


def _array(variable: Any) -> np.ndarray:
    array: np.ndarray = ops.convert_to_numpy(variable.value)
    return array.astype("float32") if array.dtype.kind == "V" else array


def _check(model: Any, images: np.ndarray, labels: np.ndarray, turns: Turns) -> None:
    if not isinstance(model, ScaleClassifier):
        raise ValueError(
            "`model` must be an RA-CNN, as `keras_attn.applications.RACNN` makes it. "
            f"Received: model={model!r}"
        )
    proposals = _proposals(model)
    if not any(layer.trainable_weights for layer in proposals):
        raise ValueError(
            "`model` must have a proposal that isn't frozen: one is trained in every second turn. "
            f"Received: {', '.join(layer.name for layer in proposals)}, frozen"
        )
    if not len(images) or len(images) != len(labels):
        raise ValueError(
            "`images` and `labels` must be of the same number, 1 or more. "
            f"Received: {len(images)} images, {len(labels)} labels"
        )
    for name in ("epochs", "patience", "batch_size"):
        check_positive_int(name, getattr(turns, name))
    for name in ("rounds", "pretraining_epochs"):
        check_non_negative_int(name, getattr(turns, name))
