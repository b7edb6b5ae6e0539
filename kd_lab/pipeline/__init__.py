"""The story of one cell, from its config to its result; below it nothing sees a config."""
