"""Whether the tests notice that the code is wrong: it is broken by hand in one place at a time."""
