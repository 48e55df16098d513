"""What is learned in which step, and how."""
