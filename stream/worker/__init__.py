"""`cartwake worker`: the shards that it owns, what it reads, and the trainer."""
