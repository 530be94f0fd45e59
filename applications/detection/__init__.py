"""Detectors on our networks, as they are asked."""

from keras_attn.applications.detection.detector import Detector as Detector
from keras_attn.applications.detection.keras_hub import detector_of as detector_of
