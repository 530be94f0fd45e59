"""What networks and attention cost: parameters and multiply-accumulates."""

from keras_attn.cost.count import COSTS as COSTS
from keras_attn.cost.count import Cost as Cost
from keras_attn.cost.count import count_cost as count_cost
from keras_attn.cost.count import read_costs as read_costs
from keras_attn.cost.count import write_costs as write_costs
