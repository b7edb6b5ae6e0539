"""What a fit minimises: a weighted sum of terms."""
