"""What networks and attention cost: parameters and multiply-accumulates."""

from typing import TYPE_CHECKING

from keras_attn import _startup

if _startup.at_once(__name__) or TYPE_CHECKING:
    from keras_attn.cost.count import count_cost as count_cost
    from keras_attn.cost.table import COSTS as COSTS
    from keras_attn.cost.table import Cost as Cost
    from keras_attn.cost.table import read_costs as read_costs
    from keras_attn.cost.table import write_costs as write_costs
else:
    __getattr__ = _startup.later(__name__)
