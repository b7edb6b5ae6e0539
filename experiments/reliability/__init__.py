"""What happens to results when things go wrong, measured by commands that repeat it."""
