"""One file a term of a loss; the file gives it its name."""
