"""Settings: their sections, bounds and secrets, and how they are read."""
