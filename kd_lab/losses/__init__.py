"""What a student is to be close to: terms, each with a weight, and their sum."""
