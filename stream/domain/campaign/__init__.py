"""Decides which of the triggers that the kinds propose are fired, and why the others are not."""
