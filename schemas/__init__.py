"""The contracts on the bus: every message, every topic, and the forms the outside world may use.

This package imports the standard library and pydantic only, so that any program may import it.
"""
