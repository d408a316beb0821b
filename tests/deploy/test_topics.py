"""What deployments say of topics is what the table of topics says."""

from deploy.topics.written import ACLS, STRIMZI, acls, strimzi


def test_the_permissions_in_kafka_are_those_of_the_table():
    assert ACLS.read_text() == acls(), "run `make topics`"


def test_the_resources_for_strimzi_are_those_of_the_table():
    assert STRIMZI.read_text() == strimzi(), "run `make topics`"


def test_no_producer_outside_may_write_what_cartwakes_parts_tell_each_other():
    allowed = [line for line in acls().splitlines() if line.startswith("allow ")]
    writes = [line for line in allowed if "Write" in line and "visitor-facts" in line]
    assert {line.split()[1] for line in writes} == {"cartwake-worker", "cartwake-operator"}
