"""Scikit-learn's 1,797 digits, which need no download: a first try."""

from keras_attn.training.config import TrainingConfig
from keras_attn.training.recipes.entry import Entry
from keras_attn.training.recipes.recipe import Recipe

RECIPES = {
    "digits_se_resnet8": Entry(
        title="SE-ResNet-8 on scikit-learn's 1,797 digits, which need no download: a first try.",
        about="There is no paper's recipe.",
        result="Result: 99.4, 98.6 and 99.4 % of 360 held-out digits with seeds 0, 1 and 2 (the "
        "seed also chooses which are held out), 50 s each on 2 busy CPU cores, 2026-11-21.",
        flags="",
        recipe=Recipe(
            model="se_resnet20_cifar",
            data="digits",
            model_options={"depth": 8},
            training=TrainingConfig(epochs=10, batch_size=32),
        ),
    )
}
