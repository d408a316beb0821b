"""The collector: from the requests of a shop to records that Kafka has acknowledged.

``routes`` takes requests, ``prepare`` makes records of events, ``append`` sends them to Kafka.
A 200 means that an event is stored. After anything else the sender may repeat it, because
duplicates are recognized by their id.
"""
