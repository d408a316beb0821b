"""Kafka: the log that shards read, and where what they decide is published.

Faust lives here and in ``stream.worker.app`` alone.
"""
