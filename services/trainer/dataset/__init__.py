"""Data sets: judgements, negatives and catalogue, cleaned, split and certified."""
