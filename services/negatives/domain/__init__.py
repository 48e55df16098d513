"""What is a negative: plan, retrieve (the values of it), filter, sample; and `mine`, the four in a row."""
