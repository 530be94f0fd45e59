"""Which attention stands where: the kinds by name, and the places in a network's blocks."""

from keras_attn.kinds.in_blocks import Attention as Attention
from keras_attn.kinds.in_blocks import AttentionInBlock as AttentionInBlock
from keras_attn.kinds.in_blocks import Block as Block
from keras_attn.kinds.in_blocks import Places as Places
from keras_attn.kinds.in_blocks import Positions as Positions
from keras_attn.kinds.kind import PLACEMENTS as PLACEMENTS
from keras_attn.kinds.kind import Kind as Kind
from keras_attn.kinds.kind import Placement as Placement
from keras_attn.kinds.making import AttentionLike as AttentionLike
from keras_attn.kinds.making import attention_name as attention_name
from keras_attn.kinds.making import check_attention as check_attention
from keras_attn.kinds.making import copy_layer as copy_layer
from keras_attn.kinds.making import kind_and_options as kind_and_options
from keras_attn.kinds.making import kind_of as kind_of
from keras_attn.kinds.making import make_attention as make_attention
from keras_attn.kinds.making import one_kind as one_kind
from keras_attn.kinds.table import KINDS as KINDS
