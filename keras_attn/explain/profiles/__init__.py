"""What the gates say of a class."""

from keras_attn.explain.profiles.class_profiles import Profile as Profile
from keras_attn.explain.profiles.class_profiles import class_profiles as class_profiles
from keras_attn.explain.profiles.class_profiles import selectivity as selectivity
from keras_attn.explain.profiles.figure import draw_profiles as draw_profiles
