"""The state of an alert, one pure step an observation."""
