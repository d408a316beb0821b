from stream.errors import CartwakeError, UsageError


def test_wrong_usage_is_told_apart_by_its_exit_code():
    assert (CartwakeError("failed").exit_code, UsageError("wrong").exit_code) == (1, 2)


def test_one_handler_catches_both():
    assert issubclass(UsageError, CartwakeError)
