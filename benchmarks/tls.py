"""A certificate for the provider, and the file of the authority that its clients are to trust."""

import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ("certified",)


@contextmanager
def certified() -> Iterator[tuple[ssl.SSLContext, str]]:
    """Make a certificate.

    Returns:
        A context manager that gives the TLS context of the server, and the file.

    Raises:
        ImportError: trustme is not installed.
    """
    import trustme

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(str(file))
        yield context, str(file)
