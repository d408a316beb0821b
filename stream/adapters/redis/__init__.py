"""Redis: where shards keep their state, and the trainer its models."""
