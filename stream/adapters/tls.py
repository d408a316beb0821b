"""TLS for every client: the trusted authorities, and the words for an untrusted server.

A server must prove its identity, by its name and an authority; it cannot be switched off.
"""

import ssl
from collections.abc import Iterator

from stream.adapters.refusal import Cause, Refusal
from stream.errors import UsageError


def context(cafile: str, setting: str) -> ssl.SSLContext:
    """Return what trusts the authority of this file, or the system's where none is named.

    Raises
    ------
    UsageError
        The file, which this setting names, is not PEM.
    """
    try:
        return ssl.create_default_context(cafile=cafile or None)
    except ssl.SSLError as error:
        raise UsageError(f"{setting}: {cafile} is not PEM: {error}") from error


def mistrust(error: BaseException) -> Refusal | None:
    """Return why TLS failed where trying again will not help; None: it was something else."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            words = f"has a certificate that is not to be trusted: {cause.verify_message}"
            return Refusal(Cause.CERTIFICATE, words)
        # A connection that ends too early ends for reasons that have nothing to do with trust.
        if isinstance(cause, ssl.SSLError) and not isinstance(
            cause, ssl.SSLEOFError | ssl.SSLZeroReturnError
        ):
            return Refusal(Cause.TLS, f"does not agree on TLS: {cause.reason}")
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it: clients wrap what the network says."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
