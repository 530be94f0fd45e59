"""CIFAR-10 and CIFAR-100: each network by the recipe of its paper."""

import dataclasses

from keras_attn.training.config import TrainingConfig
from keras_attn.training.recipes.entry import Entry
from keras_attn.training.recipes.recipe import Recipe

DATA = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
DECAY = (
    "the weight decay is decoupled (1e-3 here is 1e-4 there, which momentum amplifies tenfold) and "
    "spares biases and BatchNormalization."
)

HE = TrainingConfig(
    epochs=200,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    weight_decay=1e-3,
    schedule="cosine",
    warmup=0.025,
    augment=("crop", "flip"),
)
OF_HE = (
    "Paper's recipe (He et al. 2015, section 4.2): SGD with momentum 0.9, weight decay 1e-4, "
    "batches of 128, 64,000 steps (164 epochs) at 0.1, a tenth from 32,000 and from 48,000; "
    "padding by 4 and random crops, flips. Ours differs: Nesterov momentum, a cosine after 5 "
    f"epochs of warm-up, 200 epochs, and {DECAY}"
)

WANG = TrainingConfig(
    epochs=205,
    batch_size=64,
    optimizer="sgd",
    learning_rate=0.1,
    weight_decay=1e-3,
    schedule="step",
    milestones=(0.4, 0.6),
    warmup=0.0,
    augment=("crop", "flip"),
)
OF_WANG = (
    "The paper's recipe (Wang et al. 2017, section 4.1), as far as it is known here: Nesterov "
    "momentum 0.9, weight decay 1e-4, batches of 64, a rate of 0.1 divided by ten after 64,000 and "
    "96,000 of 160,000 steps (205 epochs of 50,000 images, 2/5 and 3/5 of the way), padding by 4 "
    f"and random crops, flips. Ours differs: {DECAY} The networks' stem and mask depths are ours, "
    "see `ResidualAttentionCIFAR`."
)

WIDE = TrainingConfig(
    epochs=500,
    batch_size=1024,
    optimizer="sgd",
    learning_rate=0.8,
    weight_decay=2e-3,
    schedule="cosine",
    warmup=0.05,
    augment=("crop", "flip"),
)
WIDE_AA = dataclasses.replace(WIDE, batch_size=256, learning_rate=0.2, weight_decay=5e-3)
OF_BELLO = (
    "The paper's recipe for CIFAR-100 (Bello et al. 2019, appendix A.1, as recalled, to be "
    "checked): 500 epochs, SGD with momentum 0.9, batches of {batch}, a rate of 0.2 for each 256 "
    "images, warm-up over 5 % of the epochs, then a cosine; weight decay {decay}; crops and flips. "
    "Ours differs: Nesterov momentum; the weight decay is decoupled (ten times the number, which "
    "momentum amplifies there) and spares biases and BatchNormalization."
)

# What is behind the data set's name in a recipe's -> network, title, options, what is said of them
NETWORKS = {
    "resnet20": ("resnet20_cifar", "ResNet-20", HE, OF_HE),
    "se_resnet20": (
        "se_resnet20_cifar",
        "SE-ResNet-20",
        HE,
        f"{OF_HE} The SE paper (Hu et al. 2018, section 6.1) trains its CIFAR networks with the "
        "same augmentation.",
    ),
    "aa_resnet20": (
        "aa_resnet20_cifar",
        "ResNet-20 with augmented convolutions in stages 2 and 3,",
        HE,
        f"{OF_HE} Bello et al. (2019) have no such network; for theirs see "
        "`cifar100_aa_wide_resnet28x10`.",
    ),
    "residual_attention56": (
        "residual_attention56_cifar",
        "Residual Attention Network, Attention-56,",
        WANG,
        OF_WANG,
    ),
    "residual_attention92": (
        "residual_attention92_cifar",
        "Residual Attention Network, Attention-92,",
        WANG,
        OF_WANG,
    ),
    "wide_resnet28x10": (
        "wide_resnet28x10",
        "Wide-ResNet-28-10",
        WIDE,
        OF_BELLO.format(batch=1024, decay="2e-4"),
    ),
    "aa_wide_resnet28x10": (
        "aa_wide_resnet28x10",
        "Attention-augmented Wide-ResNet-28-10",
        WIDE_AA,
        OF_BELLO.format(batch=256, decay="5e-4"),
    ),
}

NOT_RUN = "Result: the full schedule was not run."
SHORT_FORM = (
    f"{NOT_RUN} Its short form, 10,000 images for 10 epochs, is measured in "
    "`benchmarks/results/cifar10.csv`."
)
OF_WEIGHTS = (
    " All 50,000 images by `--epochs {epochs} --warmup 0.1 --weight-decay 0.005`, seed 0, 2 CPU "
    'cores, {date}: {accuracy} % of the test images; these are the weights of `weights="cifar10"`.'
)
RESULTS = {
    "cifar10_resnet20": SHORT_FORM
    + OF_WEIGHTS.format(epochs=60, date="2026-11-26", accuracy=87.94),
    "cifar10_se_resnet20": SHORT_FORM
    + OF_WEIGHTS.format(epochs=60, date="2026-11-26", accuracy=88.59),
    "cifar10_aa_resnet20": SHORT_FORM
    + OF_WEIGHTS.format(epochs=20, date="2026-11-28", accuracy=85.67),
    "cifar10_residual_attention56": SHORT_FORM,
}

RECIPES = {
    f"{data}_{network}": Entry(
        title=f"{title} on {data_title}.",
        about=about,
        result=RESULTS.get(f"{data}_{network}", "Result: not run." if is_wide else NOT_RUN),
        flags="--data-dir FOLDER --strategy mirrored" if is_wide else "--data-dir FOLDER",
        recipe=Recipe(model=model, data=data, training=training),
    )
    for data, data_title in DATA.items()
    for network, (model, title, training, about) in NETWORKS.items()
    for is_wide in [training in (WIDE, WIDE_AA)]
}
