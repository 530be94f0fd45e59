"""From encoded photographs to images of a network's size, for TensorFlow, one by one.

JPEG files are read, decoded and resized by TensorFlow's operations. Other formats, and JPEG files
that are to be set upright or that may be damaged, go the way that they go elsewhere, by Pillow.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import tensorflow as tf

from keras_attn.data.batches.boxes import (
    NUMBERS,
    RESIZED_CROP_AREA,
    RESIZED_CROP_ASPECT,
    TRIES,
    draw_box,
)
from keras_attn.data.encoded import EncodedSplit, FileSplit, picture_of
from keras_attn.data.readers.records import RecordSplit
from keras_attn.images.graph.decoding import GREY
from keras_attn.images.graph.pixels import resize_part, whole_of
from keras_attn.images.orientation import exif_of_jpeg, orientation

HEAD = 1024  # bytes of a JPEG in which its picture usually begins
# Beside a part that is decoded alone, so that its colours are those of the whole picture.
MARGIN = 16

Example = tuple[tf.Tensor, tf.Tensor]
Reader = Callable[..., Example]


def photograph_reader(split: EncodedSplit, *, parts: bool) -> Reader:
    """A function from a row to its image and label.

    Args:
        split: Encoded images.
        parts: Whether "random_resized_crop" draws the part that is taken, from `NUMBERS` numbers
            from 0 to 1. Otherwise it is what is evaluated.

    Returns:
        Function from the row, int64 `()`, what `record_reader` gives for it, float32 `(NUMBERS,)`
        and whether the image is mirrored, bool `()` or `None`, to uint8 `(H, W, C)` and int64 `()`.
    """
    load = _loader(split)
    how, channels = split.preprocessing, split.channels
    size = cast(tuple[int, int], how.size)

    def by_pillow(row: np.ndarray, numbers: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
        picture, _ = picture_of(split.source(int(row)), channels)
        if parts:
            image = how.fit_part(picture, draw_box(numbers, picture.height, picture.width))
        else:
            image = how.fit_picture(picture)
        return np.ascontiguousarray(image[:, ::-1]) if mirrored else image

    def decoded(encoded: tf.Tensor, first: tf.Tensor, last: tf.Tensor, sides: tf.Tensor) -> Any:
        """The pixels from a row and column up to another: `(h, w, C)`."""
        begin = tf.maximum(first - MARGIN, 0)
        end = tf.minimum(last + MARGIN, sides)
        window = tf.concat([begin, end - begin], 0)
        rgb = tf.image.decode_and_crop_jpeg(
            encoded, window, channels=3, dct_method="INTEGER_ACCURATE"
        )
        (top, left), (rows, columns) = tf.unstack(first - begin), tf.unstack(last - first)
        rgb = tf.slice(rgb, [top, left, 0], [rows, columns, 3])
        rgb = tf.ensure_shape(rgb, (None, None, 3))
        if channels == 3:
            return rgb
        grey = tf.reduce_sum(tf.cast(rgb, tf.int32) * tf.constant(GREY), -1, keepdims=True)
        return tf.cast((grey + 2**15) // 2**16, tf.uint8)

    def part(
        encoded: tf.Tensor, numbers: tf.Tensor, sides: tf.Tensor, mirrored: tf.Tensor | None
    ) -> tf.Tensor:
        box = draw_box_in_graph(numbers, sides)
        start, shape = box[:2], box[2:]
        pixels = decoded(encoded, start, start + shape, sides)
        scale = tf.cast(tf.constant(size, tf.float64) / tf.cast(shape, tf.float64), tf.float32)
        start = tf.zeros(2)
        return resize_part(pixels[None], scale, start, size, how.interpolation, mirrored)[0]

    def centre(encoded: tf.Tensor, sides: tf.Tensor, mirrored: tf.Tensor | None) -> tf.Tensor:
        scale, start = whole_of(how, sides)
        reach = tf.math.ceil(2.0 / tf.minimum(scale, 1.0)) + 1.0  # of the filter
        begin, end = start / scale, (start + tf.constant(size, tf.float32)) / scale
        first = tf.maximum(tf.cast(begin - reach, tf.int32), 0)
        last = tf.minimum(tf.cast(end + reach, tf.int32), sides)
        pixels = decoded(encoded, first, last, sides)
        start = start - tf.cast(first, tf.float32) * scale
        return resize_part(pixels[None], scale, start, size, how.interpolation, mirrored)[0]

    @tf.autograph.experimental.do_not_convert
    def read(
        row: tf.Tensor, record: tf.Tensor, numbers: tf.Tensor, mirrored: tf.Tensor | None = None
    ) -> Example:
        encoded, label = load(row, record)

        def in_graph() -> tf.Tensor:
            sides = tf.image.extract_jpeg_shape(encoded)[:2]
            if parts:
                return part(encoded, numbers, sides, mirrored)
            return centre(encoded, sides, mirrored)

        def elsewhere() -> tf.Tensor:
            given = [row, numbers, False if mirrored is None else mirrored]
            image = tf.numpy_function(by_pillow, given, tf.uint8, stateful=False)
            return tf.ensure_shape(image, (*size, channels))

        image = tf.cond(_is_plain_jpeg(encoded), in_graph, elsewhere)
        return tf.ensure_shape(image, (*size, channels)), label

    return cast(Reader, read)


def draw_box_in_graph(uniform: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """What `draw_box` gives: int32 `(4,)` of float32 `(NUMBERS,)` and of int32 `(2,)`."""
    numbers = tf.cast(tf.ensure_shape(uniform, (NUMBERS,)), tf.float64)
    height, width = tf.unstack(tf.cast(sides, tf.float64))
    tries = tf.reshape(numbers[: 2 * TRIES], (TRIES, 2))
    (least, most), (narrow, wide) = RESIZED_CROP_AREA, RESIZED_CROP_ASPECT
    area = height * width * (least + (most - least) * tries[:, 0])
    aspect = narrow * tf.pow(tf.constant(wide / narrow, tf.float64), tries[:, 1])
    broad, tall = tf.round(tf.sqrt(area * aspect)), tf.round(tf.sqrt(area / aspect))
    fits = (broad >= 1) & (tall >= 1) & (broad <= width) & (tall <= height)
    first = tf.argmax(fits)
    drawn = tf.stack([tall[first], broad[first]])
    whole = tf.stack([height, width])
    bound = tf.round(tf.stack([width / narrow, height * wide]))
    any_fits = tf.reduce_any(fits)
    shape = tf.where(any_fits, drawn, tf.minimum(whole, bound))
    place = tf.where(any_fits, numbers[2 * TRIES :] * (whole - shape + 1.0), (whole - shape) / 2.0)
    return tf.cast(tf.concat([tf.floor(place), shape], 0), tf.int32)


def record_reader(split: EncodedSplit) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from rows `(n,)` to what is read of them together, strings `(n,)`.

    Records are, by Python. Files are read one by one, by TensorFlow: of them it is nothing.
    """

    @tf.autograph.experimental.do_not_convert
    def nothing(rows: tf.Tensor) -> tf.Tensor:
        return tf.fill(tf.shape(rows), "")

    def records(rows: np.ndarray) -> np.ndarray:
        found = [cast(RecordSplit, split).source(int(row)).record() for row in rows]
        return np.array(found, object)

    @tf.autograph.experimental.do_not_convert
    def together(rows: tf.Tensor) -> tf.Tensor:
        found = tf.numpy_function(records, [rows], tf.string, stateful=False)
        return tf.ensure_shape(found, rows.shape)

    reader = together if isinstance(split, RecordSplit) else nothing
    return cast(Callable[[tf.Tensor], tf.Tensor], reader)


def _loader(split: EncodedSplit) -> Callable[[tf.Tensor, tf.Tensor], Example]:
    """A function from a row, and what `record_reader` gives for it, to its file and its label."""
    # On the CPU, and made here once: `map` then refers to them and doesn't copy them.
    if isinstance(split, RecordSplit):
        image_key, label_key = split.keys
        features = {
            image_key: tf.io.FixedLenFeature((), tf.string),
            label_key: tf.io.FixedLenFeature((), tf.int64),
        }
        with tf.device("CPU:0"):
            shifts = tf.constant(np.zeros(1) if split.shifts is None else split.shifts, tf.int64)

        @tf.autograph.experimental.do_not_convert
        def of_record(row: tf.Tensor, record: tf.Tensor) -> Example:
            found = tf.io.parse_single_example(record, features)
            label = found[label_key]
            if split.shifts is not None:
                label = (label + tf.gather(shifts, row)) % split.num_classes
            return found[image_key], label

        return cast(Callable[[tf.Tensor, tf.Tensor], Example], of_record)
    if not isinstance(split, FileSplit):
        raise ValueError(f"`split` must be of files or of records. Received: {type(split)}")
    with tf.device("CPU:0"):
        root = tf.constant(f"{split.root}/")
        paths = tf.constant(split.paths)
        labels = tf.constant(split.labels, tf.int64)

    @tf.autograph.experimental.do_not_convert
    def of_file(row: tf.Tensor, record: tf.Tensor) -> Example:
        return tf.io.read_file(root + tf.gather(paths, row)), tf.gather(labels, row)

    return cast(Callable[[tf.Tensor, tf.Tensor], Example], of_file)


def _is_plain_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a file is a JPEG that ends as one and is not to be set upright."""
    length = tf.strings.length(encoded)
    is_jpeg = tf.equal(tf.strings.substr(encoded, 0, 3), b"\xff\xd8\xff")
    ends = tf.equal(tf.strings.substr(encoded, tf.maximum(length - 2, 0), 2), b"\xff\xd9")
    head = tf.strings.substr(encoded, 0, HEAD)
    data = tf.io.decode_raw(head, tf.uint8)
    begins = tf.reduce_any((data[:-1] == 0xFF) & (data[1:] == 0xDA))  # the picture itself
    has_no_exif = begins & ~tf.strings.regex_full_match(head, r"\C*Exif\C*")

    def lies_upright() -> tf.Tensor:
        # By Python: a walk along the segments in the graph would cost every other file, too.
        found = tf.numpy_function(_lies_upright, [encoded], tf.bool, stateful=False)
        return is_jpeg & ends & tf.ensure_shape(found, ())

    return tf.cond(is_jpeg & ends & has_no_exif, lambda: True, lies_upright)


def _lies_upright(encoded: bytes) -> np.ndarray:
    return np.asarray(orientation(exif_of_jpeg(encoded)) == 1)
