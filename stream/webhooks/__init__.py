"""Triggers for shops whose sender is not on Kafka: signed ``POST`` requests, by Standard Webhooks.

Each endpoint has a reader, a backlog and tasks of its own, so that none waits for another.
"""
