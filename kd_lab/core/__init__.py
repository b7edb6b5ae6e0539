"""What every room stands on: errors, typed options, paths, the cache, results; nothing here knows of models."""
