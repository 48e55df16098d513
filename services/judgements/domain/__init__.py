"""What judgements decides, as pure functions: admit, join, count, estimate, recount."""
