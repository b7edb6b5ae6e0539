"""A study's settings, their intervals, its verdict and documents."""
