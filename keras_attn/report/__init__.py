"""What became of a training, as one page: accuracy by class, errors, calibration, cost."""

from typing import TYPE_CHECKING

from keras_attn import _startup

if _startup.at_once(__name__) or TYPE_CHECKING:
    from keras_attn.report.answers import Answers as Answers
    from keras_attn.report.page import write_report as write_report
    from keras_attn.report.plots import write_plots as write_plots
else:
    __getattr__ = _startup.later(__name__)
