"""What the monitor decides: scores, baselines, windows and the life of an alert. Pure."""
