"""Heatmap, parallel coordinates, Pareto front."""
