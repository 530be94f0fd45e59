"""Losses of attention: what the papers' networks learn by, beside what Keras has."""

from typing import TYPE_CHECKING

from keras_attn import _startup

if _startup.at_once(__name__) or TYPE_CHECKING:
    from keras_attn.losses.class_mask_crossentropy import (
        ClassMaskCrossentropy as ClassMaskCrossentropy,
    )
    from keras_attn.losses.class_mask_crossentropy import class_mask_targets as class_mask_targets
    from keras_attn.losses.gated_crossentropy import GatedCrossentropy as GatedCrossentropy
    from keras_attn.losses.pairwise_ranking import PairwiseRankingLoss as PairwiseRankingLoss
else:
    __getattr__ = _startup.later(__name__)
