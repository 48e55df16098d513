"""Fakes for tests; each passes the contract suite of the real thing."""
