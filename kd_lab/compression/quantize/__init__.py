"""Steps that keep the weights and store or compute them in fewer bits, or in another runtime."""
