"""`python -m keras_twa`: the command `keras-twa`."""

import sys

from keras_twa.cli import main

sys.exit(main())
