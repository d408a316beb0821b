"""Shoppers' events, and the decisions made from them. Pure: standard library and msgspec only.

No clock, no randomness, no logging, no input or output. Time enters as an argument in milliseconds
UTC, money is an integer in minor units.
"""
