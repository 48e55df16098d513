"""The mark of a record that repeats what another generation has, so that nobody takes it for fresh news."""

REPLAYED = "headrace.replayed"
"""A header of index records that a backfill wrote."""
