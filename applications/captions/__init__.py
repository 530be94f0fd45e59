"""Show, Attend and Tell (ICML 2015): captions that say for each word where it comes from."""

from keras_attn.applications.captions.captioner import Captioner as Captioner
from keras_attn.applications.captions.network import ShowAttendTell as ShowAttendTell
