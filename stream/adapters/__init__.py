"""Everything that can fail: Kafka, Redis, and the bytes of records.

No inner room imports this one; it implements their ports.
"""
