"""Losses of attention: what the papers' networks learn by, beside what Keras has."""

from typing import TYPE_CHECKING

from keras_attn import _startup

if _startup.at_once(__name__) or TYPE_CHECKING:
    from keras_attn.losses.pairwise_ranking import PairwiseRankingLoss as PairwiseRankingLoss
else:
    __getattr__ = _startup.later(__name__)
