"""What Debian's security team has published: asked of apt, which knows this machine's mirrors and checks signatures."""

from __future__ import annotations

import email.utils
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coffer import processes
from coffer.errors import OutsideSystemError
from coffer.scanners.debian_packages import is_newer, read_packages
from coffer.scanners.scanner import NoData

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_HELPER = Path("/usr/lib/apt/apt-helper")
_FORMAT = "$(FILENAME)\t$(REPO_URI)\t$(RELEASE)\t$(CODENAME)\t$(COMPONENT)\t$(ARCHITECTURE)"
_FRESH_FOR = timedelta(hours=6)


@dataclass(frozen=True)
class SecurityPocket:
    """The packages with security fixes for one release of Debian.

    Attributes:
        versions: Newest version by binary package.
        known_at: When this was known to be what is published.
        label: Which release, of which date, for people.
    """

    versions: Mapping[str, str]
    known_at: datetime
    label: str


@dataclass(frozen=True)
class _Index:
    path: Path
    repository: str
    release: str
    component: str

    @property
    def dated(self) -> datetime:
        """When Debian made the release file that vouches for this index."""
        prefix = self.path.name.split(f"_dists_{self.release}_")[0]
        release = self.path.with_name(f"{prefix}_dists_{self.release}_InRelease")
        for line in release.read_text(errors="replace").splitlines():
            if line.startswith("Date:"):
                return email.utils.parsedate_to_datetime(line.partition(":")[2].strip()).astimezone(UTC)
        raise NoData("the release file has no date", detail=release.name)


def fetch_pocket(codename: str, architecture: str, scratch: Path, now: datetime, *, timeout: float) -> SecurityPocket:
    """Return what is published for a release, fetched anew if this machine's copy is older than six hours.

    After a fetch the data counts as of now: apt has just seen the mirror's signed release file and refuses one past
    its `Valid-Until`. Without a fetch it counts as of the release file's date, and the gate judges its age.

    Args:
        codename: `bookworm`, …
        architecture: `amd64`, …
        scratch: Folder for fetched lists; the machine's own are left alone.
        now: The time of the scan.
        timeout: Seconds that a fetch may take.

    Raises:
        NoData: This machine has no apt, or apt has no sources for that release.
    """
    if shutil.which("apt-get") is None or not _HELPER.exists():
        raise NoData("Debian's security data cannot be read", detail="this machine has no apt")
    indexes = _indexes(codename, architecture, [])
    if not indexes:
        raise NoData(
            "Debian's security data is not on this machine",
            detail=f"apt knows no {codename}-security for {architecture}",
            resolution="Run apt-get update on a Debian machine with that release among its sources",
        )
    if all(now - index.dated < _FRESH_FOR for index in indexes):
        return _read(indexes, min(index.dated for index in indexes))
    try:
        options = _update(indexes, scratch, timeout)
        fetched = _indexes(codename, architecture, options)
    except OutsideSystemError:
        return _read(indexes, min(index.dated for index in indexes))
    return _read(fetched, now) if fetched else _read(indexes, min(index.dated for index in indexes))


def _indexes(codename: str, architecture: str, options: list[str]) -> list[_Index]:
    argv = ["apt-get", *options, "indextargets", "--format", _FORMAT, "Identifier: Packages"]
    found = []
    for line in processes.run(argv, timeout=60).stdout.splitlines():
        path, repository, release, name, component, arch = line.split("\t")
        if name == f"{codename}-security" and arch in (architecture, "all") and Path(path).is_file():
            found.append(_Index(Path(path), repository, release, component))
    return found


def _update(indexes: list[_Index], scratch: Path, timeout: float) -> list[str]:
    """Fetch only these lists, into a folder of their own; return the options that look there."""
    for name in ("lists/partial", "cache/archives/partial"):
        (scratch / name).mkdir(parents=True, exist_ok=True)
    signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    lines = {f"deb {signed}{each.repository} {each.release} {each.component}\n" for each in indexes}
    sources = scratch / "sources.list"
    sources.write_text("".join(sorted(lines)))
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": scratch / "lists",
        "Dir::Cache": scratch / "cache",
        "APT::Sandbox::User": "",
        "APT::Update::Error-Mode": "any",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    processes.run(["apt-get", *options, "-qq", "update"], timeout=timeout)
    return options


def _read(indexes: list[_Index], known_at: datetime) -> SecurityPocket:
    versions: dict[str, str] = {}
    for name, version in _candidates(indexes):
        if name not in versions or is_newer(version, versions[name]):
            versions[name] = version
    label = f"{indexes[0].release} of {min(index.dated for index in indexes):%Y-%m-%d}"
    return SecurityPocket(versions, known_at, label)


def _candidates(indexes: list[_Index]) -> Iterator[tuple[str, str]]:
    for index in indexes:
        text = processes.run([_HELPER, "cat-file", index.path], timeout=60).stdout
        yield from ((package.name, package.version) for package in read_packages(text))
