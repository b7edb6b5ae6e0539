"""What is read out of results."""
