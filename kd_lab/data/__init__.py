"""Texts with labels, their tokenizers and checkpoints, and the batches that are made of them."""
