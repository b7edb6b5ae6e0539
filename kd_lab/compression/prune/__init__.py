"""Steps that take weights away: layers, heads, units, rows of the vocabulary, single numbers."""
