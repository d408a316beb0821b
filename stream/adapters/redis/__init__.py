"""Redis: the store of the shards' state and of the trainer's models."""
