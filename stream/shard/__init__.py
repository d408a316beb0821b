"""The unit of work: the same partition number of all inputs, folded step by step.

Every step of a shard makes the same five moves: merge, load, fold, commit, publish.
"""
