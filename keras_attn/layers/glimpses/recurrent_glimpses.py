"""A network that looks at a few places of an image, one after another, and decides which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_attn._checks import (
    check_non_negative_int,
    check_one_of,
    check_pair,
    check_positive_int,
)
from keras_attn.layers._composed import built
from keras_attn.layers._parts import LayerOfParts
from keras_attn.layers._validation import check_channels, check_data_format
from keras_attn.layers.contract import Form
from keras_attn.layers.glimpses.box_crop2d import BoxCrop2D
from keras_attn.layers.glimpses.glimpse_sensor import GlimpseSensor
from keras_attn.typing import Shape, Tensor

CELLS = ("rnn", "lstm")
MERGES = ("add", "multiply")
POLICIES = ("learned", "random", "centre")


@keras.saving.register_keras_serializable(package="keras_attn")
class RecurrentGlimpses(LayerOfParts):
    """Recurrent attention: glimpses at places that the network itself chooses.

    [Mnih et al., "Recurrent Models of Visual Attention", NIPS
    2014](https://arxiv.org/abs/1406.6247). At each step t a `GlimpseSensor` looks at l_t, and

        h_g = ReLU(Dense(glimpse)),  h_l = ReLU(Dense(l_t))
        g_t = ReLU(Dense(h_g) + Dense(h_l)),  h_t = ReLU(Dense(h_{t-1}) + Dense(g_t))
        l_{t+1} ~ N(mu_t, location_std^2),  mu_t = tanh(Dense(h_t))
        b_t = Dense(h_t),  the classes' probabilities = softmax(Dense(h_T))

    or an LSTM in place of the second h_t. The first place is the centre. The location network and
    the baseline b_t learn by reinforcement alone: no gradient goes from them to h_t, nor through a
    place that was drawn. A place is clipped into the image after its density was taken: the
    density of the clipped one would be biased. The paper's mean is linear; tanh keeps it inside.

    In training places are drawn; otherwise they are the means, and the layer is deterministic.

    [Ba, Mnih & Kavukcuoglu, "Multiple Object Recognition with Visual Attention", ICLR
    2015](https://arxiv.org/abs/1412.7755) reads several objects one after another (`targets`), with
    convolutions in the glimpse network (`filters`), `merge="multiply"`, LSTM cells, and a
    `context`: a second recurrent layer above the first, which begins from the whole image at low
    resolution and decides where to look, the first place included. The class comes from the first
    layer alone, so the context tells nothing of it but where to look. All that only decides where
    to look learns by reinforcement alone: here no gradient goes from the second layer to the first,
    about which the paper says nothing. `applications.DeepRecurrentAttention` puts it together.

    Args:
        classes: Number of classes.
        num_glimpses: Number of glimpses, 1 or more, of each target; T is that of all.
        glimpse_size: See `GlimpseSensor`, as for `num_scales` and `scale`.
        num_scales: Number of patches of a glimpse.
        scale: How many times as wide as one patch the next is.
        units: Width of g and h.
        hidden_units: Width of h_g and h_l.
        location_std: Standard deviation of a place around its mean; 1 is half the image.
        cell: `"rnn"` or `"lstm"`.
        policy: `"learned"`; or, to compare with, `"random"`, uniform over the image, or `"centre"`.
        location_units: Width of a hidden layer with ReLU before mu; `None` for none.
        targets: Number S of objects that are read one after another, `num_glimpses` glimpses each;
            there is then one class more, the end, for images that have fewer. `None` for one
            object and no end.
        filters: Numbers of filters of the glimpse network's 3x3 convolutions with ReLU, before its
            dense layer; of the context network's, too. Empty for none.
        merge: How h_g and h_l become g: `"add"`, as above; or `"multiply"`, as
            g = ReLU(Dense(h_g)) * ReLU(Dense(h_l)).
        context: Side in pixels of the low-resolution image from which a second recurrent layer
            begins; `None` for one layer and no context.
        seed: Seed of the places that are drawn.
        data_format: `"channels_last"` or `"channels_first"`; `None` takes Keras's global setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        locations: (B, T, 2) of y and x from -1 to 1, places to look at instead of the policy's
            own; their densities are taken under the policy. `None` for none.
        training: Whether places are drawn, unless `sample` says.
        sample: Whether places are drawn.
        return_attention: Whether to return the boxes that were looked at, (B, T, num_scales, 4), in
            `BoxCrop2D`'s normalized units.

    Input shape:
        (B, H, W, C), or (B, C, H, W) if `channels_first`; H and W must be known.

    Output shape:
        A dict: `"probabilities"` (B, classes), or (B, S, classes + 1) of S targets;
        `"log_densities"` (B, T - 1), of each place after the first, or (B, T) with a context, which
        chooses the first as well; `"baselines"` (B, T), of the state after each glimpse, or with a
        context before it; `"locations"` (B, T, 2). All are float32, or wider where the layer is.

    Raises:
        ValueError: If a number isn't positive, a name is unknown, the image's size is unknown, or
            the smallest patch is more than twice as large as the image, or `locations` are not
            one place for each glimpse.

    Example:

    >>> layer = keras_attn.layers.RecurrentGlimpses(10, num_glimpses=6)
    >>> found, boxes = layer(np.zeros((2, 28, 28, 1), "float32"), return_attention=True)
    >>> found["probabilities"].shape, boxes.shape, layer.count_params()
    (TensorShape([2, 10]), TensorShape([2, 6, 1, 4]), 209677)
    """

    attention_form: Form | None = "boxes"

    def __init__(
        self,
        classes: int,
        num_glimpses: int = 6,
        glimpse_size: int | tuple[int, int] = 8,
        num_scales: int = 1,
        scale: float = 2.0,
        units: int = 256,
        hidden_units: int = 128,
        location_std: float = 0.17,
        cell: str = "rnn",
        policy: str = "learned",
        location_units: int | None = None,
        seed: int | None = None,
        *,
        targets: int | None = None,
        filters: Sequence[int] = (),
        merge: str = "add",
        context: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        check_one_of("cell", cell, CELLS)
        check_one_of("policy", policy, POLICIES)
        check_one_of("merge", merge, MERGES)
        if not location_std > 0:
            raise ValueError(
                f"`location_std` must be positive. Received: location_std={location_std!r}"
            )
        self.classes = check_positive_int("classes", classes)
        self.num_glimpses = check_positive_int("num_glimpses", num_glimpses)
        self.glimpse_size = check_pair("glimpse_size", glimpse_size)
        self.num_scales = check_positive_int("num_scales", num_scales)
        self.scale = scale
        self.units = check_positive_int("units", units)
        self.hidden_units = check_positive_int("hidden_units", hidden_units)
        self.location_std = location_std
        self.cell = cell
        self.policy = policy
        self.location_units = (
            None if location_units is None else check_positive_int("location_units", location_units)
        )
        self.targets = None if targets is None else check_positive_int("targets", targets)
        if not isinstance(filters, (list, tuple)):
            raise ValueError(
                f"`filters` must be a sequence of positive integers. Received: filters={filters!r}"
            )
        self.filters = tuple(check_positive_int("filters", number) for number in filters)
        self.merge = merge
        self.context = None if context is None else check_positive_int("context", context)
        self.seed = None if seed is None else check_non_negative_int("seed", seed)
        self.data_format = check_data_format(data_format)
        self.input_spec = None
        self.generator = keras.random.SeedGenerator(self.seed, name="generator")

    def build(self, images_shape: Shape) -> None:
        """Makes the parts."""
        size = self._image_size(images_shape)
        dtype: dict[str, Any] = {"dtype": self._dtype}
        self.sensor = GlimpseSensor(
            self.glimpse_size,
            num_scales=self.num_scales,
            scale=self.scale,
            data_format=self.data_format,
            name="sensor",
            **dtype,
        )
        channels = check_channels("RecurrentGlimpses", images_shape, self.data_format)
        for side, length in zip(self.glimpse_size, size, strict=True):
            if side > 2 * length:
                raise ValueError(
                    "`glimpse_size` must be at most twice the image's size. "
                    f"Received: glimpse_size={self.glimpse_size}, images of {size}"
                )

        def dense(name: str, inputs: int, units: int, **options: Any) -> keras.layers.Dense:
            layer = keras.layers.Dense(units, name=name, **dtype, **options)
            return built(layer, (None, inputs))

        def recurrent(name: str) -> keras.layers.Layer:
            return built(keras.layers.LSTMCell(units, name=name, **dtype), (None, units))

        hidden, units = self.hidden_units, self.units
        self.of_pixels, values = self._convolutions(
            "of_pixels", self.glimpse_size, channels * self.num_scales
        )
        self.what = dense("what", values, hidden, activation="relu")
        self.where = dense("where", 2, hidden, activation="relu")
        self.of_what = dense("of_what", hidden, units)
        self.of_where = dense("of_where", hidden, units)
        if self.cell == "lstm":
            self.core = recurrent("core")
        else:
            self.of_state = dense("of_state", units, units)
            self.of_glimpse = dense("of_glimpse", units, units)
        wide = self.location_units or units
        if self.location_units is not None:
            self.before_mean = dense("before_mean", units, wide, activation="relu")
        self.mean = dense("mean", wide, 2, activation="tanh")
        self.baseline = dense("baseline", units, 1)
        self.head = dense(
            "head", units, self.classes + (self.targets is not None), activation="softmax"
        )
        if self.context is not None:
            self.overview = BoxCrop2D(
                self.context,
                antialias=True,
                units="normalized",
                data_format=self.data_format,
                name="overview",
                **dtype,
            )
            self.of_overview, values = self._convolutions(
                "of_overview", (self.context, self.context), channels
            )
            self.first_state = dense("first_state", values, units, activation="tanh")
            self.first_memory = dense("first_memory", values, units)
            self.looking = recurrent("looking")

    def _convolutions(
        self, name: str, size: tuple[int, int], channels: int
    ) -> tuple[list[keras.layers.Layer], int]:
        """The 3x3 convolutions with ReLU, and the number of values that they give."""
        layers: list[keras.layers.Layer] = []
        for number, filters in enumerate(self.filters):
            layer = keras.layers.Conv2D(
                filters,
                3,
                padding="same",
                activation="relu",
                data_format=self.data_format,
                name=f"{name}_{number}",
                dtype=self._dtype,
            )
            shape = (None, *size, channels)
            if self.data_format == "channels_first":
                shape = (None, channels, *size)
            layers.append(built(layer, shape))
            channels = filters
        return layers, math.prod(size) * channels

    def call(
        self,
        images: Tensor,
        locations: Tensor | None = None,
        training: bool | None = None,
        sample: bool | None = None,
        return_attention: bool = False,
    ) -> Any:
        """Looks T times and gives the classes' probabilities, and what the loss needs."""
        draws = bool(training) if sample is None else sample
        if locations is not None and tuple(locations.shape[1:]) != (self._steps, 2):
            raise ValueError(
                f"`locations` must be (B, {self._steps}, 2): y and x of each glimpse. "
                f"Received: locations with shape {tuple(locations.shape)}"
            )
        batch = ops.shape(images)[0]
        state = [ops.zeros((batch, self.units), self._dtype)] * (1 + (self.cell == "lstm"))
        looking = self._overlooked(images)
        places, densities, baselines, classes = [], [], [], []
        for step in range(self._steps):
            given = None if locations is None else locations[:, step]
            if step == 0 and self.context is None:
                place = self._first(batch) if given is None else given
            else:
                seen = ops.stop_gradient(state[0]) if self.context is None else looking[0]
                wide = self.before_mean(seen) if self.location_units is not None else seen
                place, density = self._next(self.mean(wide), given, draws)
                densities.append(density)
                baselines.append(self.baseline(ops.stop_gradient(seen)))
            places.append(place)
            state = self._looked(images, place, state)
            if self.context is not None:
                looking = list(self.looking(ops.stop_gradient(state[0]), looking)[1])
            if (step + 1) % self.num_glimpses == 0:
                classes.append(self.head(state[0]))
        if self.context is None:
            baselines.append(self.baseline(ops.stop_gradient(state[0])))
        looked_at = ops.stack(places, axis=1)
        found = {
            "probabilities": classes[0] if self.targets is None else ops.stack(classes, axis=1),
            "log_densities": (
                ops.stack(densities, axis=1) if densities else ops.zeros((batch, 0), self._dtype)
            ),
            "baselines": ops.concatenate(baselines, axis=1),
            "locations": looked_at,
        }
        return (found, self._boxes(images, looked_at)) if return_attention else found

    def _overlooked(self, images: Tensor) -> list[Tensor]:
        """The second layer's first state, which the whole image at low resolution gives."""
        if self.context is None:
            return []
        whole = ops.broadcast_to(
            ops.convert_to_tensor([0.0, 0.0, 1.0, 1.0], self._dtype), (ops.shape(images)[0], 4)
        )
        seen = _flat(self.of_overview, self.overview(images, whole), self.first_state)
        return [self.first_state(seen), self.first_memory(seen)]

    def _looked(self, images: Tensor, place: Tensor, state: list[Tensor]) -> list[Tensor]:
        """The state after one more glimpse; its first part is h."""
        seen = _flat(self.of_pixels, self.sensor(images, place), self.what)
        what, where = self.of_what(self.what(seen)), self.of_where(self.where(place))
        if self.merge == "add":
            glimpse = ops.relu(what + where)
        else:
            glimpse = ops.relu(what) * ops.relu(where)
        if self.cell == "lstm":
            return list(self.core(glimpse, state)[1])
        return [ops.relu(self.of_state(state[0]) + self.of_glimpse(glimpse))]

    def _first(self, batch: Any) -> Tensor:
        return self._anywhere(batch) if self.policy == "random" else self._centre(batch)

    def _next(self, mean: Tensor, given: Tensor | None, draws: bool) -> tuple[Tensor, Tensor]:
        """The next place, (B, 2), and the logarithm of its density under the policy, (B,)."""
        batch = ops.shape(mean)[0]
        if self.policy != "learned":
            place = self._first(batch) if given is None else given
            return place, ops.zeros((batch,), self._dtype)
        place = ops.stop_gradient(mean) if given is None else ops.cast(given, self._dtype)
        if draws and given is None:
            noise = keras.random.normal((batch, 2), dtype=self._dtype, seed=self.generator)
            place = place + self.location_std * noise
        off = ops.sum(ops.square((ops.stop_gradient(place) - mean) / self.location_std), axis=-1)
        density = -off / 2 - math.log(2 * math.pi * self.location_std**2)
        return (ops.clip(place, -1.0, 1.0) if given is None else place), density

    def _centre(self, batch: Any) -> Tensor:
        return ops.zeros((batch, 2), self._dtype)

    def _anywhere(self, batch: Any) -> Tensor:
        return keras.random.uniform((batch, 2), -1.0, 1.0, dtype=self._dtype, seed=self.generator)

    def _boxes(self, images: Tensor, places: Tensor) -> Tensor:
        """The patches in normalized units."""
        size = self._image_size(images.shape)
        boxes = self.sensor.boxes(places, size)  # (B, T, S, 4)
        half = ops.convert_to_tensor([*size, *size], self._dtype) / 2
        return boxes / half - ops.convert_to_tensor([1.0, 1.0, 0.0, 0.0], self._dtype)

    def compute_output_spec(
        self,
        images: keras.KerasTensor,
        locations: Any = None,
        training: bool | None = None,
        sample: bool | None = None,
        return_attention: bool = False,
    ) -> Any:
        """The symbolic outputs."""
        self._image_size(images.shape)
        shapes = self.compute_output_shape(images.shape)
        found = {name: keras.KerasTensor(shape, self._dtype) for name, shape in shapes.items()}
        if not return_attention:
            return found
        boxes = keras.KerasTensor(self.compute_attention_shape(images.shape), self._dtype)
        return found, boxes

    def compute_output_shape(self, images_shape: Shape) -> dict[str, Shape]:
        """Those of the dict."""
        batch, steps = images_shape[0], self._steps
        several = (self.targets, self.classes + 1)
        return {
            "probabilities": (batch, *((self.classes,) if self.targets is None else several)),
            "log_densities": (batch, steps - (self.context is None)),
            "baselines": (batch, steps),
            "locations": (batch, steps, 2),
        }

    def compute_attention_shape(self, images_shape: Shape) -> Shape:
        """That of the boxes."""
        return (images_shape[0], self._steps, self.num_scales, 4)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        names = (
            "classes num_glimpses glimpse_size num_scales scale units hidden_units location_std "
            "cell policy location_units seed targets filters merge context data_format"
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names.split()}}

    @property
    def _steps(self) -> int:
        """The number T of all glimpses."""
        return self.num_glimpses * (self.targets or 1)

    @property
    def _dtype(self) -> str:
        """Of all that is computed: float32, or wider."""
        return str(keras.backend.result_type(self.compute_dtype, "float32"))

    def _image_size(self, images_shape: Shape) -> tuple[int, int]:
        sides = images_shape[1:3] if self.data_format == "channels_last" else images_shape[2:4]
        height, width = sides if len(images_shape) == 4 else (None, None)
        if height is None or width is None:
            raise ValueError(
                "`images` must have a height and a width that are known. "
                f"Received: images with shape {tuple(images_shape)}"
            )
        return height, width


def _flat(
    convolutions: list[keras.layers.Layer], pixels: Tensor, then: keras.layers.Dense
) -> Tensor:
    """What the convolutions make of the pixels, as (B, values) for the layer that comes then."""
    for layer in convolutions:
        pixels = layer(pixels)
    return ops.reshape(pixels, (-1, then.kernel.shape[0]))
