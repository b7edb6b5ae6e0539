"""Which cells run, in what order, and what is passed over."""
