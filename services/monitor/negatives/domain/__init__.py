"""What is a low precision, as a pure function of two counts."""
