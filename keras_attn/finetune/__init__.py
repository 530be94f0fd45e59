"""Networks with weights, trained further on other data: frozen stages, slow ones, a new head."""

from keras_attn.finetune.alternating import Turns as Turns
from keras_attn.finetune.alternating import alternate as alternate
from keras_attn.finetune.head import replace_head as replace_head
from keras_attn.finetune.stages import find_stages as find_stages
from keras_attn.finetune.stages import freeze as freeze
from keras_attn.finetune.tune import FinetuneResult as FinetuneResult
from keras_attn.finetune.tune import finetune as finetune
