"""The gateway: from on-site triggers in Kafka to the pages of their visitor.

``feed`` reads triggers, ``hub`` keeps open streams and pending actions, ``routes`` answers pages.
An action reaches only its own visitor's pages, and only before it expires or is cancelled.
"""
