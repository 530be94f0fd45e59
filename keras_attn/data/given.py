"""What every Keras user has, as an `ImageDataset`."""

from typing import TYPE_CHECKING, Any, TypeAlias

from keras_attn.data.image_dataset import ImageDataset
from keras_attn.data.readers.tf_data import is_tf_data

if TYPE_CHECKING:
    import tensorflow as tf

Pair: TypeAlias = "tuple[Any, Any] | list[Any]"
Images: TypeAlias = "ImageDataset | tuple[tf.data.Dataset, tf.data.Dataset] | Pair"


def as_dataset(data: Images) -> ImageDataset:
    """Takes a data set, or a pair of what is trained on and what is held out.

    Args:
        data: An `ImageDataset`; two `tf.data.Dataset`s, see `ImageDataset.from_tf_data`; or two
            `(images, labels)`, as `keras.datasets.cifar10.load_data()` gives them, see
            `ImageDataset.from_arrays`.

    Raises:
        ValueError: If it is none of these.

    Example:
        >>> images, labels = np.zeros((6, 8, 8, 3), "uint8"), np.arange(6) % 2
        >>> as_dataset(((images, labels), (images, labels)))
        <ImageDataset 'arrays': 2 classes, 6 images to train on, 6 held out, (H, W, C) = (8, 8, 3)>
    """
    if isinstance(data, ImageDataset):
        return data
    if isinstance(data, (tuple, list)) and len(data) == 2:
        pair: Any = data
        train, test = pair
        if is_tf_data(train) and is_tf_data(test):
            return ImageDataset.from_tf_data(train, test)
        if all(isinstance(each, (tuple, list)) and len(each) == 2 for each in data):
            return ImageDataset.from_arrays(train, test)
    hint = ""
    if is_tf_data(data):
        hint = "; give it with its held-out images: (train, test)"
    raise ValueError(
        "`dataset` must be an ImageDataset, see `load_dataset`, or a pair (train, test) of "
        f"tf.data.Datasets or of (images, labels). Received: dataset={_shown(data)}{hint}"
    )


def _shown(data: Any) -> str:
    kinds = [type(each).__name__ for each in data] if isinstance(data, (tuple, list)) else []
    return f"a {type(data).__name__} of {', '.join(kinds)}" if kinds else f"{data!r:.100}"
