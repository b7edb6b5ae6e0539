"""Search over options with Optuna: what is searched, what for, and when a trial gives up."""
