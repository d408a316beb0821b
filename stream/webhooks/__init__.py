"""Triggers for shops whose sender is not on Kafka: signed ``POST`` requests, by Standard Webhooks.

The one rule: each endpoint has a reader, a ledger and tasks of its own, so that none waits for
another.
"""
