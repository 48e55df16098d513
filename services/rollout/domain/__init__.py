"""What the rollout worker decides: whether a request can be granted, and when a generation is whole. Pure."""
