"""Drift: windows of queries, products and outcomes against what is usual."""
