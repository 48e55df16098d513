"""Brokers, Redis and topics to run on: the ladder from production servers down to embedded ones."""
