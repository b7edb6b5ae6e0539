"""One file a step: each takes a classifier and gives a smaller or faster one."""
