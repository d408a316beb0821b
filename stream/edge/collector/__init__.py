"""The collector: from what a storefront sends to records that Kafka has acknowledged.

``routes`` is the way in, ``prepare`` makes records of events, ``append`` gives them to Kafka. The
one rule: what is answered 200 is stored; what is not may be sent again, because ids make it
harmless.
"""
