"""Attention-augmented ResNet-50 on ImageNet.

The paper's recipe (Bello et al. 2019, appendix A.1, as recalled, to be checked): 100 epochs, SGD
with momentum 0.9, weight decay 1e-4, a rate of 0.128 for each 256 images, warm-up over 5 % of the
epochs, a tenth at epochs 30, 60, 80 and 90; Inception's crops, flips. Ours differs: Nesterov
momentum; bfloat16; the weight decay is decoupled (ten times the number, which momentum amplifies
there) and spares biases and BatchNormalization; the held-out images are resized to 224x224 whole,
not cropped from their centre.

ImageNet's images have to be fetched by hand into tensorflow-datasets' manual folder and prepared
there (`tfds build imagenet2012 --manual_dir ...`). Not run: described and runnable.

    keras-attn train --recipe imagenet_aa_resnet50 --data-dir FOLDER --out FOLDER
        --strategy mirrored
"""

from keras_attn.training.recipes.recipe import Recipe

RECIPE = Recipe(
    model="aa_resnet50",
    data="imagenet2012",
    data_options={"image_size": 224},
    training={
        "epochs": 100,
        "batch_size": 256,
        "optimizer": "sgd",
        "learning_rate": 0.128,
        "weight_decay": 1e-3,
        "schedule": "step",
        "milestones": (0.3, 0.6, 0.8, 0.9),
        "warmup": 0.05,
        "label_smoothing": 0.0,
        "augment": ("random_resized_crop", "flip"),
        "mixed_precision": "bfloat16",
    },
)
