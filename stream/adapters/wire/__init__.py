"""Bytes of the contract: events in, records out, and their schemas."""
