"""`cartwake emailer`: sender, mail server, customer directory, quiet hours, rates."""

from typing import Annotated, Self

from pydantic import model_validator

from stream.config.bounds import (
    CLOCK,
    DAY_S,
    GROUP,
    HOSTS,
    NOT_EMPTY,
    PORT,
    RATE,
    SECRET,
    SENDER,
    SMTP,
    TEXT,
    WEB,
    ZONE,
    whole,
)
from stream.config.section import Section, means
from stream.config.servers import AUTHORITY, PASSWORD_FILE
from stream.config.worker import METRICS_HOST, METRICS_PORT
from stream.errors import UsageError


class EmailerSettings(Section):
    """How mails are sent, by which sender, and when not."""

    group: Annotated[str, GROUP, means("consumer group; one for each tenant")] = "emailer"
    tenant: Annotated[str, NOT_EMPTY, means("the shop whose shoppers get mails")] = "default"
    sender: Annotated[str, SENDER, means("sender of the mails")] = ""
    public_url: Annotated[str, WEB, means("URL at which browsers reach `cartwake edge`")] = ""
    cart_url: Annotated[
        str, WEB, means("the shop's page that restores a cart; the edge reads it, too")
    ] = ""
    smtp_url: Annotated[
        str,
        SMTP,
        means("mail server; a password is sent only with `smtp+starttls://` or `smtps://`"),
    ] = "smtp://localhost:1025"
    smtp_username: Annotated[str, TEXT, means("user name")] = ""
    smtp_password: Annotated[
        str, TEXT, SECRET, means("password; better in `emailer.smtp_password_file`")
    ] = ""
    smtp_password_file: Annotated[str, TEXT, PASSWORD_FILE] = ""
    smtp_cafile: Annotated[str, TEXT, AUTHORITY] = ""
    directory: Annotated[
        str,
        TEXT,
        SECRET,
        means("customers: a CSV file, an HTTP URL with `{visitor}`, or a database's URL"),
    ] = ""
    directory_query: Annotated[
        str, TEXT, means("for a database: SQL with `:tenant` and `:visitor`")
    ] = ""
    directory_token: Annotated[
        str,
        TEXT,
        SECRET,
        means("for HTTP: bearer token; better in `emailer.directory_token_file`"),
    ] = ""
    directory_token_file: Annotated[str, TEXT, means("file whose first line is the token")] = ""
    address_key: Annotated[
        str,
        TEXT,
        SECRET,
        means(
            "key of the hashes by which a person's cap, unsubscriptions and bounces are kept; "
            "empty: the oldest of `edge.signing_keys`; set it before you remove that"
        ),
    ] = ""
    address_key_file: Annotated[str, TEXT, means("file whose first line is that key")] = ""
    templates: Annotated[str, TEXT, means("folder of the shop's own templates")] = ""
    imprint: Annotated[
        str, TEXT, means("what stands below each mail: the shop's postal address; may have lines")
    ] = ""
    page_hosts: Annotated[
        tuple[str, ...],
        HOSTS,
        means("hosts of product pages beside that of `cart_url`; mails link to no others"),
    ] = ()
    image_hosts: Annotated[
        tuple[str, ...],
        HOSTS,
        means("hosts of product pictures beside those of pages; mails show no others"),
    ] = ()
    quiet_from: Annotated[str, CLOCK, means("no marketing mails from this time on")] = "21:00"
    quiet_until: Annotated[
        str, CLOCK, means("until this time, in the recipient's zone; both equal: no quiet hours")
    ] = "09:00"
    timezone: Annotated[str, ZONE, means("time zone of recipients without one")] = "UTC"
    cap_s: Annotated[
        int, whole(0, DAY_S, "seconds"), means("least time between two marketing mails")
    ] = 57_600
    per_domain_per_s: Annotated[float, RATE, means("mails per second to one domain")] = 10.0
    at_once: Annotated[
        int,
        whole(1, 100, "mails"),
        means("mails sent at the same time; after a kill so many may be sent twice"),
    ] = 1
    metrics_host: Annotated[str, NOT_EMPTY, METRICS_HOST] = "127.0.0.1"
    metrics_port: Annotated[int, PORT, METRICS_PORT] = 9466

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Refuse a database without a query, and a password that would be sent in clear."""
        is_sql = "://" in self.directory and not self.directory.startswith("http")
        if is_sql != bool(self.directory_query):
            verb = "needs" if is_sql else "does not use"
            raise UsageError(f"emailer.directory as it is {verb} emailer.directory_query")
        if self.smtp_password and self.smtp_url.startswith("smtp://"):
            raise UsageError(
                "emailer.smtp_url smtp:// would send emailer.smtp_password in clear: "
                "use smtp+starttls:// or smtps://"
            )
        return self
