"""Statistics of more than one service: sequences that may be looked at, and what they can tell. Pure."""
