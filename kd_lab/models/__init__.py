"""The classifiers that can be fitted, how they are built, saved and loaded, and how weights move between them."""
