"""Products: what a change says, how changes merge, which text is embedded."""
