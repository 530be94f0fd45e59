"""Residual Attention Network, Attention-56, on CIFAR-10.

The paper's recipe (Wang et al. 2017, section 4.1), as far as it is known here: Nesterov momentum
0.9, weight decay 1e-4, batches of 64, a rate of 0.1 divided by ten after 64,000 and 96,000 of
160,000 steps (205 epochs of 50,000 images, 2/5 and 3/5 of the way), padding by 4 and random
crops, flips. Ours differs: the weight decay is decoupled (1e-3 here is 1e-4 there, which momentum
amplifies tenfold) and spares biases and BatchNormalization. The networks' stem and mask depths
are ours, see `ResidualAttentionCIFAR`.

Result: the full schedule was not run. Its short form, 10,000 images for 10 epochs, is measured in
`benchmarks/results/cifar10.csv`.

    keras-attn train --recipe cifar10_residual_attention56 --data-dir FOLDER --out FOLDER
"""

from keras_attn.training.recipes.recipe import Recipe

RECIPE = Recipe(
    model="residual_attention56_cifar",
    data="cifar10",
    training={
        "epochs": 205,
        "batch_size": 64,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "weight_decay": 1e-3,
        "schedule": "step",
        "milestones": (0.4, 0.6),
        "warmup": 0.0,
        "augment": ("crop", "flip"),
    },
)
