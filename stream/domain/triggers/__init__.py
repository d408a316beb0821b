"""One file per kind of trigger: when it is owed, and everything that forbids it."""
