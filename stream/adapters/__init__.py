"""Everything that can fail: Kafka, Redis, bytes from strangers, and what operators look at.

The one rule: nothing further inside imports this room; it fills the ports that they define.
"""
