"""Kafka through aiokafka: connections, offsets, readers of whole topics, the durable publisher."""
