"""Searches by Optuna: what is searched, how good a trial is, which are given up."""
