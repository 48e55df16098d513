"""What stands before an HTTP API of ours: tokens, limits, origins, and errors as problem details."""
