"""The edge's certificate."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from coffer.stack import certificates


def handshake(files: certificates.EdgeCertificate, name: str) -> str | None:
    """Return the protocol that a client agrees on which trusts the authority alone."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with ours:
            try:
                server.wrap_socket(ours, server_side=True).close()
            except (OSError, ssl.SSLError):
                return  # the client has hung up, which is what the test asks about

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with (
            theirs,
            ssl.create_default_context(cafile=files.authority).wrap_socket(theirs, server_hostname=name) as client,
        ):
            return client.version()
    finally:
        thread.join()


def test_a_client_that_trusts_the_authority_trusts_localhost(tmp_path: Path) -> None:
    files = certificates.ensure(tmp_path)
    assert handshake(files, "localhost") == "TLSv1.3"
    assert handshake(files, "127.0.0.1") == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(files, "example.org")
    assert files.key.stat().st_mode & 0o077 == 0


def test_it_is_kept_until_a_month_before_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = certificates.ensure(tmp_path).certificate.read_bytes()
    assert certificates.ensure(tmp_path).certificate.read_bytes() == first
    monkeypatch.setattr(certificates, "_RENEW_BEFORE", timedelta(days=400))
    renewed = certificates.ensure(tmp_path)
    assert renewed.certificate.read_bytes() != first
    assert handshake(renewed, "localhost") == "TLSv1.3"
