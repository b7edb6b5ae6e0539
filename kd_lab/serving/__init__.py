"""A saved model answers raw text: alone, in a folder that is copied away, or in MLflow."""
