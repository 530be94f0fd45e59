"""Attention-augmented Wide-ResNet-28-10 on CIFAR-100.

The paper's recipe for CIFAR-100 (Bello et al. 2019, appendix A.1, as recalled, to be checked):
500 epochs, SGD with momentum 0.9, batches of 256, a rate of 0.2 for each 256 images, warm-up over
5 % of the epochs, then a cosine; weight decay 5e-4; crops and flips. Ours differs: Nesterov
momentum; the weight decay is decoupled (ten times the number, which momentum amplifies there) and
spares biases and BatchNormalization.

Result: not run.

    keras-attn train --recipe cifar100_aa_wide_resnet28x10 --data-dir FOLDER --out FOLDER
        --strategy mirrored
"""

from keras_attn.training.recipes.recipe import Recipe

RECIPE = Recipe(
    model="aa_wide_resnet28x10",
    data="cifar100",
    training={
        "epochs": 500,
        "batch_size": 256,
        "optimizer": "sgd",
        "learning_rate": 0.2,
        "weight_decay": 5e-3,
        "schedule": "cosine",
        "warmup": 0.05,
        "augment": ("crop", "flip"),
    },
)
