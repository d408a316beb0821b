"""The whole worker on a real Kafka and a real Redis."""
