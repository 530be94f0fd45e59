"""ResNet-20 with augmented convolutions in stages 2 and 3, on CIFAR-10.

Paper's recipe (He et al. 2015, section 4.2): SGD with momentum 0.9, weight decay 1e-4, batches of
128, 64,000 steps (164 epochs) at 0.1, a tenth from 32,000 and from 48,000; padding by 4 and
random crops, flips. Ours differs: Nesterov momentum, a cosine after 5 epochs of warm-up, 200
epochs, and the weight decay is decoupled (1e-3 here is 1e-4 there, which momentum amplifies
tenfold) and spares biases and BatchNormalization. Bello et al. (2019) have no such network; for
theirs see `cifar100_aa_wide_resnet28x10`.

Result: the full schedule was not run. Its short form, 10,000 images for 10 epochs, is measured in
`benchmarks/results/cifar10.csv`. All 50,000 images for 4 epochs (`--epochs 4`), seed 0, 2 CPU
cores, 2026-11-21: 72.58 % of the test images; these are the weights of `weights="cifar10"`.

    keras-attn train --recipe cifar10_aa_resnet20 --data-dir FOLDER --out FOLDER
"""

from keras_attn.training.recipes.recipe import Recipe

RECIPE = Recipe(
    model="aa_resnet20_cifar",
    data="cifar10",
    training={
        "epochs": 200,
        "batch_size": 128,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "weight_decay": 1e-3,
        "schedule": "cosine",
        "warmup": 0.025,
        "augment": ("crop", "flip"),
    },
)
