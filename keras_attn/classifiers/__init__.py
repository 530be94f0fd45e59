"""Trained networks, whatever they are kept as: a run, a file, a tag, an export."""

from typing import TYPE_CHECKING

from keras_attn import _startup

if _startup.at_once(__name__) or TYPE_CHECKING:
    from keras_attn.classifiers.opening import open_classifier as open_classifier
else:
    __getattr__ = _startup.later(__name__)
