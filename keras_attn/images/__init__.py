"""Image files: those of a folder, and their pixels, which are the same for all who read them."""

from keras_attn.images.folder import SUFFIXES as SUFFIXES
from keras_attn.images.folder import image_files as image_files
from keras_attn.images.preprocessing import Preprocessing as Preprocessing
from keras_attn.images.reader import image_size as image_size
from keras_attn.images.reader import read_image as read_image
