"""Jobs: asked for, leased, done in a process of their own, reported."""
