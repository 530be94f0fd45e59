"""Attention-augmented MnasNet on ImageNet.

The paper's recipe (Bello et al. 2019, appendix A.1, as recalled): 350 epochs of RMSProp with an
exponential decay. Ours is SGD with a cosine, as there is no RMSProp here. Ours differs: Nesterov
momentum; bfloat16; the weight decay is decoupled (ten times the number, which momentum amplifies
there) and spares biases and BatchNormalization; the held-out images are resized to 224x224 whole,
not cropped from their centre.

ImageNet's images have to be fetched by hand into tensorflow-datasets' manual folder and prepared
there (`tfds build imagenet2012 --manual_dir ...`). Not run: described and runnable.

    keras-attn train --recipe imagenet_aa_mnasnet --data-dir FOLDER --out FOLDER
        --strategy mirrored
"""

from keras_attn.training.recipes.recipe import Recipe

RECIPE = Recipe(
    model="aa_mnasnet_1.0",
    data="imagenet2012",
    data_options={"image_size": 224},
    training={
        "epochs": 350,
        "batch_size": 256,
        "optimizer": "sgd",
        "learning_rate": 0.128,
        "weight_decay": 4e-4,
        "schedule": "cosine",
        "warmup": 0.05,
        "label_smoothing": 0.1,
        "augment": ("random_resized_crop", "flip"),
        "mixed_precision": "bfloat16",
    },
)
