"""The loop for hot topics: resume, decode, deliver, retry, dead-letter."""
