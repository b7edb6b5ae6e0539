"""Mirrors result.json into MLflow; losing MLflow loses nothing."""
