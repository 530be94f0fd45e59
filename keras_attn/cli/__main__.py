"""`python -m keras_attn.cli` is `keras-attn`."""

import sys

from keras_attn.cli import main

sys.exit(main())
