"""What the attention layers looked at: their masks and maps, and pictures of them."""

from keras_attn.explain.explanation import explain as explain
from keras_attn.explain.maps import attention_layers as attention_layers
from keras_attn.explain.maps import attention_maps as attention_maps
from keras_attn.explain.pictures import blend as blend
from keras_attn.explain.pictures import colourise as colourise
from keras_attn.explain.pictures import gate_chart as gate_chart
from keras_attn.explain.pictures import map_heat as map_heat
from keras_attn.explain.pictures import mask_heat as mask_heat
from keras_attn.explain.pictures import overlay as overlay
from keras_attn.images import read_image as read_image
