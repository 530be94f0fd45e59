"""Training with tf.distribute: data, strategies, fit, recipes, and the folders that runs leave."""

from typing import TYPE_CHECKING

from keras_attn import _startup

if _startup.at_once(__name__) or TYPE_CHECKING:
    from keras_attn.data.by_name import load_dataset as load_dataset
    from keras_attn.data.image_dataset import ImageDataset as ImageDataset
    from keras_attn.training.config import TrainingConfig as TrainingConfig
    from keras_attn.training.evaluation import evaluate as evaluate
    from keras_attn.training.fit import train as train
    from keras_attn.training.placement.strategy import get_strategy as get_strategy
    from keras_attn.training.run_folder.runs import TrainResult as TrainResult
    from keras_attn.training.run_folder.runs import load_run as load_run

    if TYPE_CHECKING:
        from keras_attn.training import recipes as recipes
    else:
        __getattr__, __dir__ = _startup.rooms(__name__)
else:
    __getattr__ = _startup.later(__name__)
