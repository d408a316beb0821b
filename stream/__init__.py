"""Cartwake: act on abandoned carts and leaving shoppers within seconds, and never against them."""

__version__ = "0.1.0"
