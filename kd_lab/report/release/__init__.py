"""Whether a compressed model may ship, and the frontier of size, speed and accuracy."""
