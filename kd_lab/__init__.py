"""kd_lab makes small text classifiers out of big ones: distil, prune, quantize, measure, compare."""

import sys

from kd_lab.core.old_names import Finder

sys.meta_path.append(Finder())  # for code that was saved when modules lay elsewhere
