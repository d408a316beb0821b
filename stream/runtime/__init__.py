"""What every long-running program has: its log, clock, health page, liveness and exit codes."""
