"""What kd_lab adds to Hydra: each module here is imported at every start, so it imports nothing heavy."""
