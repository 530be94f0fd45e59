"""Where a network looks: its attention, heat by gradients, gates by class, and pictures of them."""

from typing import TYPE_CHECKING

from keras_attn import _startup
from keras_attn.explain.attention import attention_stages as attention_stages
from keras_attn.explain.attention import channel_gates as channel_gates
from keras_attn.explain.drawing.boxes import draw_boxes as draw_boxes
from keras_attn.explain.drawing.captions import draw_captions as draw_captions
from keras_attn.explain.drawing.masks import draw_masks as draw_masks
from keras_attn.explain.drawing.pictures import blend as blend
from keras_attn.explain.drawing.pictures import colourise as colourise
from keras_attn.explain.drawing.pictures import gate_chart as gate_chart
from keras_attn.explain.drawing.pictures import map_heat as map_heat
from keras_attn.explain.drawing.pictures import mask_heat as mask_heat
from keras_attn.explain.drawing.pictures import overlay as overlay
from keras_attn.explain.explanation import explain as explain
from keras_attn.explain.heat_maps import METHODS as METHODS
from keras_attn.explain.heat_maps import HeatMaps as HeatMaps
from keras_attn.explain.heat_maps import heat_maps as heat_maps
from keras_attn.explain.maps import attention_layers as attention_layers
from keras_attn.explain.maps import attention_maps as attention_maps
from keras_attn.explain.profiles import Profile as Profile
from keras_attn.explain.profiles import class_profiles as class_profiles
from keras_attn.explain.profiles import draw_profiles as draw_profiles
from keras_attn.explain.profiles import selectivity as selectivity
from keras_attn.images import read_image as read_image

if TYPE_CHECKING:
    from keras_attn.explain import truth as truth
else:
    __getattr__, __dir__ = _startup.rooms(__name__)
