"""The demo's shop: a shop's pages, and a live page that shows what is known of the shopper.

The shop uses Cartwake as any shop does, by script and edge. Only the live page reads the demo's own
Kafka and Redis, and only for a visitor with a signed id.
"""
