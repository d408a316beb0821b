"""What shoppers do and what is owed to them. Pure: standard library and msgspec only.

The one rule: no clock, no randomness, no logging, no input or output. Time enters as an argument
in milliseconds UTC, money is an integer in minor units.
"""
