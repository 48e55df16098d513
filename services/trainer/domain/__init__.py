"""What the trainer decides, as pure functions of values."""
