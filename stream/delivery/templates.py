"""Templates of mails, and of the page that ends them, each in the reader's language.

The folder ``templates`` has a folder for each kind of mail and one for the page, and in these one
for each language but English. A shop's own come before ours. A part is searched for from the most
particular place to the most general one: country, language, none, and each with the step first.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import jinja2
from babel import Locale, UnknownLocaleError

from stream.config.emailer import EmailerSettings
from stream.errors import UsageError

OURS: Final = Path(__file__).parent / "templates"
DEFAULT_LOCALE: Final = "en"
# The languages of ours.
LOCALES: Final = (DEFAULT_LOCALE, "de")
# What follows a language in other notations: de_DE.UTF-8@euro of POSIX, en-US-u-ca-gregory.
AFTER_LOCALE: Final = re.compile(r"[.@].*|[-_]([a-z0-9])[-_].*", re.IGNORECASE | re.DOTALL)
# The parameter of a mail's link that says in which language its page is.
LANGUAGE: Final = "lang"
# RFC 5646 asks for room for that many. Anybody may write a longer one into a link.
TAG_CHARACTERS: Final = 35


class Templates:
    """The templates of a shop; ``folder`` has its own, None: there are ours alone."""

    def __init__(self, folder: Path | None) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader([folder, OURS] if folder else [OURS]),
            autoescape=jinja2.select_autoescape(["mjml", "html"], default=False),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(
        self, name: str, part: str, locale: Locale, told: Mapping[str, Any], step: int = 0
    ) -> str:
        """Return a part of the mail or page with this name.

        ``told`` are its variables; beside them ``language`` is that of the words found.

        Raises
        ------
        UsageError
            A template cannot be used; it says which and why.
        """
        try:
            template = self._templates.select_template([*_places(name, step, locale, part)])
            return template.render(told, language=_language(template.name))
        except jinja2.TemplateError as error:
            line = getattr(error, "lineno", None)
            where = f"{getattr(error, 'name', None) or part}{f', line {line}' if line else ''}"
            raise UsageError(f"emailer.templates: {where}: {error.message}") from error


def templates_of(emailer: EmailerSettings) -> Templates:
    """Return the templates that the settings name.

    Raises
    ------
    UsageError
        Their folder is none.
    """
    folder = Path(emailer.templates) if emailer.templates else None
    if folder is not None and not folder.is_dir():
        raise UsageError(f"emailer.templates: {folder} is not a folder")
    return Templates(folder)


def locale_of(tag: str | None) -> Locale:
    """Return the nearest known locale of a tag by BCP 47 or POSIX.

    Examples
    --------
    >>> str(locale_of("de_DE.UTF-8@euro")), str(locale_of("tlh")), str(locale_of(None))
    ('de_DE', 'en', 'en')
    """
    left = AFTER_LOCALE.sub("", (tag or "")[:TAG_CHARACTERS]).replace("_", "-")
    while left:
        try:
            return Locale.parse(left, sep="-")
        except (UnknownLocaleError, ValueError):
            left = left.rpartition("-")[0]
    return Locale.parse(DEFAULT_LOCALE)


def _places(name: str, step: int, locale: Locale, part: str) -> Iterator[str]:
    """Yield where a part may be, the most particular place first."""
    languages = dict.fromkeys((f"{locale}/".replace("_", "-"), f"{locale.language}/", ""))
    for language in languages:
        yield f"{name}/{language}{step}/{part}"
        yield f"{name}/{language}{part}"


def _language(template: str | None) -> str:
    """Return the language of the folder that a template is in; outside of one, the default.

    Examples
    --------
    >>> _language("cart_abandonment/de-AT/1/text.txt"), _language("cart_abandonment/1/text.txt")
    ('de-AT', 'en')
    """
    folders = (template or "").split("/")[1:-1]
    return next((name for name in folders if not name.isdecimal()), DEFAULT_LOCALE)
