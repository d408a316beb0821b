"""The gateway: from on-site triggers in Kafka to the page that each is for.

``feed`` reads, ``hub`` knows who waits for what, ``routes`` is what pages ask. The one rule: an
action reaches the pages of its own visitor, while it is of use, and not after it was cancelled.
"""
