"""Writes both files: ``python -m deploy.topics``."""

from deploy.topics.written import ACLS, STRIMZI, acls, strimzi

ACLS.write_text(acls())
STRIMZI.write_text(strimzi())
