"""A smaller or faster classifier out of another: the order of its steps, and what they share."""
