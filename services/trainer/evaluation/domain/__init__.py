"""Whether a candidate is better, in figures and words."""
