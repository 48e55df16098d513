"""Builds data sets from judgements and negatives, and trains and judges models on them."""
