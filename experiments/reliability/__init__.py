"""What kd_lab does when things go wrong, measured. Each file is a command; results lie in folders of the same name."""
