"""This machine's own Debian sources, as `mmdebstrap` takes them.

Only the suites of the release itself, its updates and its security pocket are taken over: what
else a machine has (other vendors' repositories) does not belong into a base image.
"""

from __future__ import annotations

import re
from pathlib import Path

_APT = Path("/etc/apt")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


def write_for(suite: str, folder: Path, *, apt: Path = _APT) -> list[Path]:
    """Write the sources of a Debian suite into files.

    Args:
        suite: Code name of the release, such as `bookworm`.
        folder: Where to write them.
        apt: apt's settings.

    Returns:
        Files to give to `mmdebstrap`; empty if this machine has none for the suite, and then
        `mmdebstrap` uses Debian's own mirror.
    """
    wanted = {suite, f"{suite}-updates", f"{suite}-security"}
    lines = [line for path in _files(apt, "list") for line in path.read_text().splitlines() if _is_debian(line, wanted)]
    stanzas = [
        chosen
        for path in _files(apt, "sources")
        for stanza in re.split(r"\n\s*\n", _without_comments(path.read_text()))
        if (chosen := _narrowed(stanza, wanted))
    ]
    written = []
    for name, text in (("debian.list", "\n".join(lines)), ("debian.sources", "\n\n".join(stanzas))):
        if text:
            path = folder / name
            path.write_text(text + "\n")
            written.append(path)
    return written


def _files(apt: Path, extension: str) -> list[Path]:
    whole = apt / "sources.list"
    first = [whole] if extension == "list" and whole.is_file() else []
    return first + sorted((apt / "sources.list.d").glob(f"*.{extension}"))


def _is_debian(line: str, wanted: set[str]) -> bool:
    match = _ONE_LINE.fullmatch(line.split("#", 1)[0].strip())
    return match is not None and match["suite"] in wanted and "main" in match["components"].split()


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def _narrowed(stanza: str, wanted: set[str]) -> str:
    """Return a deb822 stanza with the wanted suites only, or nothing if it has none."""
    fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, flags=re.MULTILINE))
    suites = [name for name in fields.get("Suites", "").split() if name in wanted]
    enabled = fields.get("Enabled", "yes").lower() not in {"no", "false", "0"}
    if not suites or not enabled or "deb" not in fields["Types"].split() or "main" not in fields["Components"].split():
        return ""
    narrowed = re.sub(r"^Suites:.*$", f"Suites: {' '.join(suites)}", stanza.strip(), flags=re.MULTILINE)
    return re.sub(r"^Types:.*$", "Types: deb", narrowed, flags=re.MULTILINE)
