"""SE-ResNet-8 on scikit-learn's 1,797 digits, which need no download: a first try, and the demo's.

There is no paper's recipe. Result: 98.9, 98.3 and 98.9 % of 360 held-out digits with seeds 0, 1
and 2, by `make demo`, whose schedule this is; 50 s on 2 CPU cores, 2026-11-21.

    keras-attn train --recipe digits_se_resnet8 --out FOLDER
"""

from keras_attn.training.recipes.recipe import Recipe

RECIPE = Recipe(
    model="se_resnet20_cifar",
    data="digits",
    model_options={"depth": 8},
    training={"epochs": 4},
)
