"""The demo's shop: pages as a shop would have them, and beside them what is known of the shopper.

The one rule: the shop uses Cartwake as any shop does, by script and edge; only the live page
looks behind, into the demo's own Kafka and Redis, and only at who shows a signed id.
"""
