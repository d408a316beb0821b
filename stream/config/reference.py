"""Writes docs/settings.md from the settings, so that the page is never behind the code."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from stream.config.section import Section, allowed_words
from stream.config.settings import SECTIONS
from stream.config.sources import CONFIG, FILE, PREFIX

HEAD: Final = f"""# Settings

Settings come from a TOML file, the one that `--config` or `{CONFIG}` names, and from environment
variables, which win over it. This page is generated from the code by `make settings`.

```toml
[cart_abandonment]
idle_s = 1200
```

```sh
{PREFIX}CART_ABANDONMENT__IDLE_S=1200 cartwake worker
```

- The variable of a setting is `{PREFIX}<SECTION>__<NAME>`. The value of a list is JSON.
- An unknown name or a value that is not allowed ends the command with exit code 2 and one line that
  names the setting and where it was set.
- A setting that ends in `{FILE}` names a file with a secret, which is read at the start: the first
  line, or a list as JSON. A secret is never shown, in no log and no error.
- Times have their unit in their name (`_s`, `_ms`); amounts of money are in minor units (cents).
"""


def page() -> str:
    """Return docs/settings.md."""
    return "\n".join([HEAD, *(_section(name, cls) for name, cls in SECTIONS.items())])


def _section(section: str, cls: type[Section]) -> str:
    return "\n".join(
        [
            f"## {section}",
            "",
            (cls.__doc__ or "").partition("\n")[0],
            "",
            "| setting | default | allowed | meaning | variable |",
            "|---|---|---|---|---|",
            *_rows(section, cls),
            "",
        ]
    )


def _rows(section: str, cls: type[Section]) -> Iterator[str]:
    for name, field in cls.model_fields.items():
        cells = (
            f"`{section}.{name}`",
            f"`{json.dumps(field.default)}`",
            _words(field),
            field.description or "",
            f"`{PREFIX}{section}__{name}`".upper(),
        )
        yield f"| {' | '.join(cells)} |"


def _words(field: FieldInfo) -> str:
    """Return what is allowed; angle brackets would be HTML."""
    return allowed_words(field).replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
