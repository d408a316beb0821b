"""Commands for operators: ``topics``, ``doctor``, ``status`` and ``dead-letters``.

No command claims a shard or joins the workers' group.
"""
