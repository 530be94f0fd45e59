"""Residual Attention Network, Attention-56, on ImageNet.

The paper's recipe (Wang et al. 2017, section 4.2), as far as it is known here: Nesterov momentum
0.9, weight decay 1e-4, a rate of 0.1 divided by ten at 200,000, 400,000 and 500,000 of 530,000
steps; the paper gives no batch size, 256 is that of a reproduction with 106 epochs. Ours differs:
Nesterov momentum; bfloat16; the weight decay is decoupled (ten times the number, which momentum
amplifies there) and spares biases and BatchNormalization; the held-out images are resized to
224x224 whole, not cropped from their centre.

ImageNet's images have to be fetched by hand into tensorflow-datasets' manual folder and prepared
there (`tfds build imagenet2012 --manual_dir ...`). Not run: described and runnable.

    keras-attn train --recipe imagenet_residual_attention56 --data-dir FOLDER --out FOLDER
        --strategy mirrored
"""

from keras_attn.training.recipes.recipe import Recipe

RECIPE = Recipe(
    model="residual_attention56",
    data="imagenet2012",
    data_options={"image_size": 224},
    training={
        "epochs": 106,
        "batch_size": 256,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "weight_decay": 1e-3,
        "schedule": "step",
        "milestones": (0.377, 0.755, 0.943),
        "warmup": 0.0,
        "label_smoothing": 0.0,
        "augment": ("random_resized_crop", "flip"),
        "mixed_precision": "bfloat16",
    },
)
