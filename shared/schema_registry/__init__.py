"""What a schema explains: messages that name one, the registry that has it, what they say as JSON."""
