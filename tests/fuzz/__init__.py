"""Hostile inputs for every reader of what strangers send: in the suite, and ``make fuzz``."""
