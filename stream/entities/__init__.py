"""The kinds of keys that shards keep states of: each module gives one ``Entity``."""
