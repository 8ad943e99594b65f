"""A mail catcher: takes every mail on loopback and keeps it in a Maildir, sends none on."""

from __future__ import annotations

import sys
from pathlib import Path

from coffer.stack.readiness import port_accepts
from coffer.stack.service import Service


def mail(name: str, maildir: Path, port: int) -> Service:
    """Return the catcher.

    Args:
        name: Service name.
        maildir: Where mails are kept; made when missing.
        port: SMTP port on 127.0.0.1.
    """
    handler = ("--class", "aiosmtpd.handlers.Mailbox", str(maildir))
    return Service(
        name=name,
        argv=(sys.executable, "-m", "aiosmtpd", "--nosetuid", "--listen", f"127.0.0.1:{port}", *handler),
        ready=port_accepts(port),
        address=f"smtp://127.0.0.1:{port}",
        ports=(port,),
        prepare=lambda: maildir.parent.mkdir(parents=True, exist_ok=True),
    )
