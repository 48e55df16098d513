"""One folder a worker, and the `headrace` command; workers never import each other."""
