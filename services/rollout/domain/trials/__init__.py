"""What a trial decides, as a function of what sessions said: credit, evidence, guardrails, the end. Pure."""
