"""What the tests stand on: real servers, real processes, real events; no test logic.

The one rule: whatever is started here is stopped by its own process id, listens on 127.0.0.1 alone
and keeps its files in the folder it was given.
"""
