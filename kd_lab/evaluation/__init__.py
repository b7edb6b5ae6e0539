"""How right a model is, how sure, how fast and how big, and whether a difference between two is one."""
