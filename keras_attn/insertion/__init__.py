"""Attention by name, and attention put into networks that are already trained.

What a fresh layer does to the map that it is put on, as the standard deviation behind it by the one
before it, for normal values, C = 256 and 14x14 places (`test_what_a_fresh_layer_does_to_its_map`):

| layer | share | why |
|---|---|---|
| SE, eSE, cSE, ECA, GE, SRM | 0.50 | sigmoid(0): halves the branch, and its gradient |
| CoordinateAttention | 0.25 | two such gates |
| SimpleCoordinateAttention, StripAttention | 0.50 | one gate of a sum |
| EfficientLocalAttention | 0.31 | two gates of normalized strips |
| sSE, GC that scales | 0.56 | one random logit for each place or channel |
| ChannelGate | 0.65 | two random logits, the maximum's the larger |
| CBAM | 0.07 to 0.5 | its BatchNormalization has no statistics yet; 0.33 with `zero_gamma=True` |
| LightCBAM, TripletAttention | 0.1 to 0.8 | nor have theirs |
| EMA | 0.52 | a random logit for each place |
| ShuffleAttention, SGE | 0.73 | sigmoid(1) |
| SimAM | 0.76 | at least sigmoid(1/2) |
| PolarizedSelfAttention | 1.0 | the sum of two gates; in sequence 0.27, their product |
| scSE | 1.04 | the sum of two gates |
| BAM | 1.4 to 1.5 | 1 + M: it amplifies |
| SK, SplitAttention | 0.65 | a convolution of its own, at He's scale |
| PyramidSqueezeAttention | 0.32 | four of them, each with a quarter as its gate |
| LambdaLayer | 1.7 | a product of three projections, two of them normalized |
| OutlookAttention | 1.9 | each place is the sum over nine windows |
| ContextualTransformer | 1.7 | weights of local sums that don't sum to 1 |
| BilinearAttention | 1.1 | the map and what was mixed |
| AxialAttention | 0.55 | means over columns and rows, normalized between |
| BoT, Halo, SelfAttention2D | 0.1 | means over places, nearly alike everywhere |
| AugmentedConv2D | 1.3 | the convolution beside the attention |
| AttentionModule | 6 | residual units that add up |
| NonLocal2D, GC that adds, GRN, GCT | 1.00 | the identity at first, by weights that start at 0 |
| LSKA, DANet's two, criss-cross, A2 | 1.00 | likewise |

A network that is trained from the start gets used to it: behind the gates stand sums with the
shortcut, and BatchNormalization. A network that is trained already does not: with SE's share of
1/2 in each block, its later layers see maps that they never saw. That is what the scalar a of
`InsertedAttention` is for. A gate that is biased open instead learns nothing: where its sigmoid is
exactly 1 in float32, its gradient is exactly 0.
"""

from keras_attn.insertion.inserted_attention import InsertedAttention as InsertedAttention
from keras_attn.insertion.surgery import fold_attention as fold_attention
from keras_attn.insertion.surgery import insert_attention as insert_attention
from keras_attn.insertion.surgery import remove_attention as remove_attention
from keras_attn.kinds import KINDS as KINDS
from keras_attn.kinds import Kind as Kind
from keras_attn.kinds import attention_name as attention_name
from keras_attn.kinds import check_attention as check_attention
from keras_attn.kinds import copy_layer as copy_layer
from keras_attn.kinds import kind_of as kind_of
from keras_attn.kinds import make_attention as make_attention
