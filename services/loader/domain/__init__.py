"""What a file says: pure functions from rows to messages."""
