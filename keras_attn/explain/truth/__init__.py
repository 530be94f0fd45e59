"""Whether a picture is true: what the network does when it is believed."""

from keras_attn.explain.truth.curves import deletion_curve as deletion_curve
from keras_attn.explain.truth.pointing import pointing_game as pointing_game
from keras_attn.explain.truth.sanity import Randomised as Randomised
from keras_attn.explain.truth.sanity import cascading_randomisation as cascading_randomisation
from keras_attn.explain.truth.sanity import rank_correlation as rank_correlation
from keras_attn.explain.truth.sanity import ssim as ssim
