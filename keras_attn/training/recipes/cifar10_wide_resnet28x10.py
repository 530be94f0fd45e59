"""Wide-ResNet-28-10 on CIFAR-10.

The paper's recipe for CIFAR-100 (Bello et al. 2019, appendix A.1, as recalled, to be checked):
500 epochs, SGD with momentum 0.9, batches of 1024, a rate of 0.2 for each 256 images, warm-up
over 5 % of the epochs, then a cosine; weight decay 2e-4; crops and flips. Ours differs: Nesterov
momentum; the weight decay is decoupled (ten times the number, which momentum amplifies there) and
spares biases and BatchNormalization.

Result: not run.

    keras-attn train --recipe cifar10_wide_resnet28x10 --data-dir FOLDER --out FOLDER
        --strategy mirrored
"""

from keras_attn.training.recipes.recipe import Recipe

RECIPE = Recipe(
    model="wide_resnet28x10",
    data="cifar10",
    training={
        "epochs": 500,
        "batch_size": 1024,
        "optimizer": "sgd",
        "learning_rate": 0.8,
        "weight_decay": 2e-3,
        "schedule": "cosine",
        "warmup": 0.05,
        "augment": ("crop", "flip"),
    },
)
