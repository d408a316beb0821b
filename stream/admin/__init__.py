"""For the people on call: what is wrong with a set-up, and how it goes with what runs.

The one rule: this room looks. It takes no shard, joins no group and changes nothing.
"""
