"""Measurements: what an event costs, beside floors and peers. ``make bench`` runs them.

The one rule: CPU per event is the figure, per process; wall time beside it is a machine's mood.
"""
