"""From what owners and readers announce to observations."""
