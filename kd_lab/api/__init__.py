"""What `import kd_lab` gives a notebook or a program: a few functions that do the whole, in the caller's process."""
