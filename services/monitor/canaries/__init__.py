"""Canaries: known query-product pairs, asked of every generation."""
