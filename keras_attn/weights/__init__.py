"""Where pretrained weights come from, and how a file of them is read into a network.

- `sources`: a table of names and a table of sets for each source; how to add one.
- `choice`: what `weights=` means. `download`: the one place that opens a connection;
  `hub`: repositories that no table lists.
- `files`, `tensors`, `torch_file`: reading the formats. `naming`, `conversion`, `adaptation`: from
  a source's tensors to a network's weights.
- `metadata`: what belongs to weights. `markers`: how a network remembers it. `sources/card`:
  tables and cards of them.
"""

from typing import TYPE_CHECKING

from keras_attn import _startup

if _startup.at_once(__name__, can_wait=True) or TYPE_CHECKING:
    from keras_attn.weights.choice import Choice as Choice
    from keras_attn.weights.choice import choose as choose
    from keras_attn.weights.conversion import Report as Report
    from keras_attn.weights.conversion import convert as convert
    from keras_attn.weights.download import DownloadError as DownloadError
    from keras_attn.weights.files import load_weights as load_weights
    from keras_attn.weights.formats.tensors import read_tensors as read_tensors
    from keras_attn.weights.markers import LevelMarker as LevelMarker
    from keras_attn.weights.markers import get_metadata as get_metadata
    from keras_attn.weights.markers import get_normalisation as get_normalisation
    from keras_attn.weights.markers import set_metadata as set_metadata
    from keras_attn.weights.markers import set_normalisation as set_normalisation
    from keras_attn.weights.metadata import Metadata as Metadata
    from keras_attn.weights.naming import Table as Table
    from keras_attn.weights.sources import SETS as SETS
    from keras_attn.weights.sources import WeightSet as WeightSet
else:
    __getattr__ = _startup.later(__name__)
