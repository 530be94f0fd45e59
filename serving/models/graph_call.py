"""A graph as a function of arrays, called as TF Serving's C++ calls it.

`Session.run` and `Session.make_callable` compare each array with the shape that the graph declares
for it. `Session::Run` of C++ does not: what the operations take is answered. TensorFlow has that
call in Python too, without a public name; it is used here and nowhere else.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

GraphCall: TypeAlias = Callable[..., list[np.ndarray]]


def graph_call(
    session: tf.compat.v1.Session, feeds: Sequence[str], fetches: Sequence[str]
) -> GraphCall:
    """Returns a function of one array for each of `feeds`, which may be called by many threads.

    Args:
        session: Session whose graph is run. It must outlive the function.
        feeds: Names of the graph's tensors.
        fetches: Those whose values are returned.
    """
    options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
    call: GraphCall = session._make_callable_from_options(options)
    return call
