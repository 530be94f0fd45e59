"""From a trained network to what a server loads."""

from keras_attn.export.preprocessing import Preprocessing as Preprocessing
from keras_attn.export.saved_model import export_saved_model as export_saved_model
from keras_attn.export.versions import find_versions as find_versions
