"""ImageNet: each network by the recipe of its paper. None was run: described and runnable."""

import dataclasses

from keras_attn.training.config import TrainingConfig
from keras_attn.training.recipes.entry import Entry
from keras_attn.training.recipes.recipe import Recipe

DIFFERS = (
    "bfloat16; the weight decay is decoupled (ten times the number, which momentum amplifies "
    "there) and spares biases and BatchNormalization."
)
OURS = f"Ours differs: Nesterov momentum; {DIFFERS}"
NOT_RUN = (
    "ImageNet's images have to be fetched by hand into tensorflow-datasets' manual folder and "
    "prepared there (`tfds build imagenet2012 --manual_dir ...`). Not run: described and runnable."
)

HU = TrainingConfig(
    epochs=100,
    batch_size=1024,
    optimizer="sgd",
    learning_rate=0.6,
    weight_decay=1e-3,
    schedule="step",
    milestones=(0.3, 0.6, 0.9),
    warmup=0.0,
    augment=("random_resized_crop", "flip"),
    mixed_precision="bfloat16",
)
OF_HU = (
    "The paper's recipe (Hu et al. 2018, section 5): SGD with momentum 0.9, batches of 1024, a "
    f"rate of 0.6 divided by ten every 30 of 100 epochs; random crops and flips. {OURS}"
)

BELLO = dataclasses.replace(
    HU, batch_size=256, learning_rate=0.128, milestones=(0.3, 0.6, 0.8, 0.9), warmup=0.05
)
OF_BELLO = (
    "The paper's recipe (Bello et al. 2019, appendix A.1, as recalled, to be checked): 100 epochs, "
    "SGD with momentum 0.9, weight decay 1e-4, a rate of 0.128 for each 256 images, warm-up over "
    "5 % of the epochs, a tenth at epochs 30, 60, 80 and 90; Inception's crops, flips. "
    f"{OURS}"
)

MNAS = TrainingConfig(
    epochs=350,
    batch_size=256,
    optimizer="sgd",
    learning_rate=0.128,
    weight_decay=4e-4,
    schedule="cosine",
    warmup=0.05,
    label_smoothing=0.1,
    augment=("random_resized_crop", "flip"),
    mixed_precision="bfloat16",
)
OF_MNAS = (
    "The paper's recipe (Bello et al. 2019, appendix A.1, as recalled): 350 epochs of RMSProp with "
    f"an exponential decay. Ours is SGD with a cosine, as there is no RMSProp here. {OURS}"
)

WANG = dataclasses.replace(
    HU, epochs=106, batch_size=256, learning_rate=0.1, milestones=(0.377, 0.755, 0.943)
)
OF_WANG = (
    "The paper's recipe (Wang et al. 2017, section 4.2), as far as it is known here: Nesterov "
    "momentum 0.9, weight decay 1e-4, a rate of 0.1 divided by ten at 200,000, 400,000 and 500,000 "
    "of 530,000 steps; the paper gives no batch size, 256 is that of a reproduction with 106 "
    f"epochs. Ours differs: {DIFFERS}"
)

# What is behind "imagenet_" in a recipe's name -> network, title, options, what is said of them
NETWORKS = {
    "resnet50": ("resnet50", "ResNet-50 on ImageNet, the baseline.", BELLO, OF_BELLO),
    "aa_resnet50": ("aa_resnet50", "Attention-augmented ResNet-50 on ImageNet.", BELLO, OF_BELLO),
    "aa_mnasnet": ("aa_mnasnet_1.0", "Attention-augmented MnasNet on ImageNet.", MNAS, OF_MNAS),
    "residual_attention56": (
        "residual_attention56",
        "Residual Attention Network, Attention-56, on ImageNet.",
        WANG,
        OF_WANG,
    ),
    "residual_attention92": (
        "residual_attention92",
        "Residual Attention Network, Attention-92, on ImageNet.",
        WANG,
        OF_WANG,
    ),
    "se_resnet50": ("se_resnet50", "SE-ResNet-50 on ImageNet.", HU, OF_HU),
    "se_resnext50": ("se_resnext50", "SE-ResNeXt-50 (32x4d) on ImageNet.", HU, OF_HU),
    "se_bn_inception": ("se_bn_inception", "SE-BN-Inception on ImageNet.", HU, OF_HU),
    "se_mobilenet": ("se_mobilenet", "SE-MobileNet on ImageNet.", HU, OF_HU),
    "se_shufflenet": ("se_shufflenet", "SE-ShuffleNet on ImageNet.", HU, OF_HU),
}

RECIPES = {
    f"imagenet_{name}": Entry(
        title=title,
        about=about,
        result=NOT_RUN,
        flags="--data-dir FOLDER --strategy mirrored",
        recipe=Recipe(
            model=model, data="imagenet2012", data_options={"image_size": 224}, training=training
        ),
    )
    for name, (model, title, training, about) in NETWORKS.items()
}
