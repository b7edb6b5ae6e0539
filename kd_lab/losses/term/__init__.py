"""One file a term: each a scalar that says how far a student is from what it should say."""
