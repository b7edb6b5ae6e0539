"""What happens when things go wrong: each figure from a run, by a named command."""
