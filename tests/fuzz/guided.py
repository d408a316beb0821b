"""``python -m tests.fuzz.guided TARGET``: one target under atheris, guided by coverage."""

import sys


def main():
    """Run libFuzzer with the arguments after the target's name, from its good inputs on."""
    import atheris  # noqa: PLC0415 - installed by ``make fuzz`` alone

    with atheris.instrument_imports(include=["stream"]):
        from tests.fuzz.campaign import keep  # noqa: PLC0415 - must be imported in here
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - likewise

    _, name, *options = sys.argv
    target = TARGETS[name]

    def check(data):
        try:
            target.check(data)
        except Exception as error:
            keep(name, data, error)
            raise

    for seed in target.seeds:
        check(seed)
    atheris.Setup([sys.argv[0], *options], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
