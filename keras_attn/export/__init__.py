"""From a trained network to what a server, a phone or ONNX Runtime loads."""

from keras_attn._versions import find_versions as find_versions
from keras_attn.export.onnx import export_onnx as export_onnx
from keras_attn.export.saved_model import export_saved_model as export_saved_model
from keras_attn.export.tflite import export_tflite as export_tflite
from keras_attn.export.tflite import export_tflite_int8 as export_tflite_int8
from keras_attn.images import Preprocessing as Preprocessing
