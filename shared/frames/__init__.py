"""Questions and answers between our own processes, in binary, many at once over one connection."""
