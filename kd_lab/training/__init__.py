"""How a model learns, from labels, from a teacher or from both."""
