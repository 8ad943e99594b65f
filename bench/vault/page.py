"""The page `docs/measured-vault.md`, written from files of measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.vault import report
from bench.vault.machine import machine_line
from bench.vault.memory import Memory
from bench.vault.results import Results

_HEAD = """\
# The vault, measured

Written by `python -m bench vault report … --write`; do not edit. Every number comes from one machine and one run.
"""
_HOW = """\
## How

Each round begins with empty stores and takes: a first backup; one of the same data; one after a change of 1 %; a
restore of all; the proofs. Both tools do each work on the same data, one right after the other, in an order drawn
anew from a seed. Before each command the machine is waited for until it is quiet, everything is written to disk and
the caches are dropped (the tools' own programs are cold too), but for "from cache". The clock runs from the command's
start to the end of the `syncfs` that follows it. Processor seconds are what the kernel counted for the command and
its children; peak memory is its high-water mark; what else ran is subtracted from the whole machine's count. Cells
are medians with [least–most]; Coffer's come first where there are two. The first restored tree of each tool is
compared with the source: names, modes, times and every byte.

The work is not equal everywhere. restic's `check --read-data` opens and authenticates everything with its key;
Coffer's "verify at rest" needs no key and compares every object with the SHA-256 in its name; its "verify with keys"
decrypts and hashes every chunk a point needs. Coffer makes every object durable before its name appears, and wraps
its keys for recipients by X25519 + ML-KEM-768. Both encrypt and authenticate everything.
"""


def write_page(results: Sequence[Results], memories: Sequence[dict[str, Any]]) -> str:
    """Return the page."""
    parts = [_HEAD]
    for each in results:
        parts += _measured(each)
    parts += ["## Peak memory\n"] * bool(memories)
    for document in memories:
        parts += _memory(document)
    return "\n".join([*parts, _HOW])


def _measured(results: Results) -> list[str]:
    header = results.header
    parts = []
    for workload, place in report.groups(results):
        where = {"file": "store in a folder", "s3": "store in SeaweedFS on this machine"}[place]
        parts += [
            f"## {workload.capitalize()} files, {where}\n",
            f"{header['workloads'][workload]}.\n",
            report.markdown_table(report.SPEED_HEAD, report.speed_rows(results, workload, place)) + "\n",
            report.markdown_table(report.cost_head(place), report.cost_rows(results, workload, place)) + "\n",
            *(f"- {line}" for line in report.notes(results, workload, place)),
            *_origin(header),
        ]
    return parts


def _memory(document: dict[str, Any]) -> list[str]:
    rows = [report.Row(Memory(**each).cells()) for each in document["memory"]]
    return [
        document["explanation"] + "\n",
        report.markdown_table(Memory.HEAD, rows) + "\n",
        *_origin(document),
    ]


def _origin(header: dict[str, Any]) -> list[str]:
    versions = "; ".join(f"{name} {version}" for name, version in header["versions"].items())
    return [
        f"- Measured {header['started']} by `{header['command']}` with {versions}.",
        f"- {machine_line(header['machine'])}.\n",
    ]
