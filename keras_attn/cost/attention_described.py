"""What the table of attention says of a kind beside its cost: paper, form, published weights."""

from __future__ import annotations

import inspect
import re

from keras_attn import applications
from keras_attn.applications.timm.variants import VARIANTS
from keras_attn.kinds import KINDS, make_attention
from keras_attn.layers import attention_form
from keras_attn.weights.sources import SETS, WeightSet

_LINK = re.compile(r"\[([^\]]+)\]\(\s*(https?://[^)\s]+)\s*\)")
# Constructors that don't take the kind as `attention`.
_OTHERS = {"VoVNet": "ese"}
_OF_MASKS = "ResidualAttention"


def paper_of(kind: str) -> tuple[str, str]:
    """The paper of a kind and its address: the first that its layer's docstring links.

    Args:
        kind: A key of `KINDS`.

    Raises:
        RuntimeError: If there is none, or Python runs without docstrings.

    Example:

    >>> paper_of("eca")
    ('Wang et al., "ECA-Net", CVPR 2020', 'https://arxiv.org/abs/1910.03151')
    """
    own = KINDS[kind].paper
    if own is not None:
        return own
    found = _LINK.search(" ".join((KINDS[kind].layer.__doc__ or "").split()))
    if found is None:
        raise RuntimeError(f"The docstring of the layer of {kind!r} links no paper.")
    return found[1], found[2]


def form_of(kind: str) -> str:
    """The form of a kind's attention, a key of `keras_attn.layers.contract.Form`.

    Args:
        kind: A key of `KINDS`.

    Example:

    >>> form_of("se"), form_of("bot")
    ('channel_gate', 'map')
    """
    return str(attention_form(make_attention(kind, 32, (8, 8))))


def kinds_of_set(each: WeightSet) -> set[str]:
    """The kinds of attention in the network that a set of weights is for.

    Args:
        each: The set.
    """
    network, arguments = each.metadata.network, each.arguments
    if network.startswith(_OF_MASKS):
        return {"attention_module"}
    if network in _OTHERS:
        return {_OTHERS[network]}
    if network == "TimmResNet":
        variant = VARIANTS[arguments["variant"]]
        parts = [variant.gate, variant.convolution, *(stage.attention for stage in variant.stages)]
        return {part[0] for part in parts if part is not None}
    parameters = inspect.signature(getattr(applications, network)).parameters
    default = parameters["attention"].default if "attention" in parameters else None
    attention = arguments.get("attention", default)
    return {attention} if attention else set()


def weights_with(kind: str) -> tuple[str, ...]:
    """The tags of the published sets of weights whose networks have a kind.

    Args:
        kind: A key of `KINDS`.

    Example:

    >>> weights_with("bam")
    ('attention-module/resnet50_bam',)
    """
    return tuple(each.metadata.tag for each in SETS if kind in kinds_of_set(each))
