"""What proves the product: simulation, benchmarks, demo and verification.

`installation`, `addresses` and `configuration` know every worker's settings: where each listens, what is set
and from where, and how to start one of each kind on this machine. Only the command imports this package; it
may import any worker.
"""
