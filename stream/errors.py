"""Errors that a person can correct.

A message is one clear line: what failed, where, and what would help. The command line prints it
without a traceback; any other exception is a defect of ours.
"""


class CartwakeError(Exception):
    """The command could not do its work."""

    exit_code = 1


class UsageError(CartwakeError):
    """The command line or the configuration is wrong."""

    exit_code = 2
