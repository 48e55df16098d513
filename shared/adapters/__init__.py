"""The real things behind the ports: Kafka and Redis."""
