"""The fault campaign: the whole worker on real servers, broken on purpose, then judged.

The one rule: a row injects and measures; what counts as right is in ``invariants.py`` alone.
"""
