"""The part of a recovery kit that people read, at 3 a.m., with nothing else at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coffer.recovery.kit import Kit

_PAGE = """\
Recovery kit: {service}, {environment}
======================================

Written {written}. Print it, and keep copies where the fire is not. There is no secret in it.

You need three things besides this file
---------------------------------------

1. The identity file from escrow. It opens everything; keep it off every machine that does not need it now.
2. Credentials that may read the stores, as an AWS credentials file with the profiles that the addresses below name.
   (Stores of the kind file:// need none.)
3. A host: Debian 12, root, Python 3.11, Docker Engine, HAProxy, Redis; the clock within 5 minutes.

What to type
------------

  apt-get install -y python3 python3-venv haproxy redis-server docker.io
  git clone COFFER && cd coffer && make install        # or: pip install 'coffer[local]'

  coffer recover --kit THIS-FILE --identity IDENTITY --aws-credentials CREDENTIALS --directory /srv/{service}

It prints what it will do and asks for the service's name once. On the old host, leave --directory away: it then uses
the old places, and what is left there is renamed, never deleted. To an earlier moment: --time 2026-11-24T10:15:00Z

If it stops, it says at which step, why, and what to type. Nothing is lost: the same line goes on where it was.
To look first, without touching anything:

  coffer drill --kit THIS-FILE --identity IDENTITY      # restores beside, asks, measures

What will happen, in this order
-------------------------------

 1. The vault is opened; the newest point from which the moment is reached is chosen.
 2. The service is taken out of traffic (503), old containers are removed, PostgreSQL and Redis are stopped.
 3. What is left of old data is renamed: NAME.before-RECOVERY. Delete it when you are sure, not before.
 4. The database is restored, then files, Redis, configuration. Each stands at its place only when it is whole.
 5. PostgreSQL replays its log to the moment, where nobody can reach it, and starts a new timeline.
 6. The image that ran then is started; the service is asked whether rows, files and sessions agree.
 7. Only then people are sent to it. The ledger gets an entry.
 8. Take a point of the new timeline and start the log's receiver, unless it says that it did.

Where things are
----------------

Vault        {vault}
Root key     {root}
             Compare it with what the vault says: coffer points --store STORE --identity IDENTITY
Stores       {stores}
Host         {hosts}
Secrets      {secrets}
             A point of kind `references` holds them, sealed; `coffer recover` reads them from there.
             If no point has one: write them into a file and add --secrets FILE, as TOML:
             ["block:database/NAME"]
             url = "postgresql://…"

By hand, if all else fails
--------------------------

  coffer points --store STORE --identity IDENTITY                   # what there is
  coffer restore latest --source files --store STORE --identity IDENTITY --to DIR
  coffer restore latest --source postgres --store STORE --identity IDENTITY --to DIR   # then start PostgreSQL 18 on DIR

The environment file
--------------------

{environment_file}

The format of the vault, to write a reader without Coffer
---------------------------------------------------------

{vault_format}

For the program
---------------
"""


def page(kit: Kit, vault_format: str) -> str:
    """Return the readable part."""
    hosts = [f"{key}: {', '.join(f'{name} {value}' for name, value in fields.items())}"
             for key, fields in kit.hosts.items() if fields]  # fmt: skip
    return _PAGE.format(
        service=kit.service,
        environment=kit.environment,
        written=kit.written,
        vault=kit.vault,
        root=kit.root,
        stores=_listed(kit.stores),
        hosts=_listed(hosts),
        secrets=_listed(kit.secrets),
        environment_file=kit.environment_file.strip(),
        vault_format=vault_format.strip(),
    )


def _listed(lines: list[str]) -> str:
    return "\n             ".join(lines) or "none"
