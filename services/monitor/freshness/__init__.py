"""Freshness: is every partition served, read and up to date."""
