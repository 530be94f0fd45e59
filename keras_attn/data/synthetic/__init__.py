"""Scenes drawn by rule, with the truth of where to look: for tests and benchmarks of attention."""

from keras_attn.data.synthetic.small_object_scenes import Scenes as Scenes
from keras_attn.data.synthetic.small_object_scenes import small_object_scenes as small_object_scenes
