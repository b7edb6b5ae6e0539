"""kd_lab makes small text classifiers out of big ones: distil, prune, quantize, measure, compare."""
