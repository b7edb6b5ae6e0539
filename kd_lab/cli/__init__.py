"""One file a verb of the command line, and what checks what was typed."""
