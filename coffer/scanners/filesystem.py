"""Reads an image's file system once: facts for our own checks, and the files that no package manager brought."""

from __future__ import annotations

import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_DPKG_STATUS = "var/lib/dpkg/status"
_DPKG_STATUS_PARTS = "var/lib/dpkg/status.d/"  # distroless images keep one file a package
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_FACTS = (_DPKG_STATUS, *_OS_RELEASE)

# What packages bring is public and Trivy reads it; a person's secret lies elsewhere.
_PACKAGED = (
    "usr/bin/", "usr/sbin/", "usr/lib/", "usr/lib32/", "usr/lib64/", "usr/libx32/", "usr/libexec/", "usr/share/",
    "usr/include/", "usr/games/", "bin/", "sbin/", "lib/", "lib64/", "var/lib/dpkg/", "var/lib/apt/", "var/cache/",
    "dev/", "proc/", "sys/",
)  # fmt: skip
_LARGEST = 5_000_000  # bytes; no secret hides in a larger text file, and a scanner would only crawl


@dataclass(frozen=True)
class ImageFiles:
    """What stands in an image.

    Attributes:
        unpacked: Folder with the files that no package brought; None if there are none.
        dpkg_status: Debian's record of installed packages; empty without one.
        os_release: Name and version of the distribution, as its file says.
        setuid: Files that run as their owner whoever starts them.
        programs: Base names of everything executable.
    """

    unpacked: Path | None = None
    dpkg_status: str = ""
    os_release: str = ""
    setuid: tuple[str, ...] = ()
    programs: frozenset[str] = frozenset()

    def distribution(self, key: str) -> str:
        """Return a value of os-release (`ID`, `VERSION_ID`, `VERSION_CODENAME`); empty if it is not given."""
        for line in self.os_release.splitlines():
            name, _, value = line.partition("=")
            if name == key:
                return value.strip().strip('"')
        return ""


def read_filesystem(archive: Path, unpacked: Path) -> ImageFiles:
    """Read the tar that `docker export` gives.

    Args:
        archive: The tar.
        unpacked: Folder for the files that no package brought. Links, devices and odd names are left out.
    """
    facts: dict[str, str] = {}
    parts: list[str] = []
    setuid: list[str] = []
    programs: set[str] = set()
    unpacked.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if member.issym() and member.mode & 0o111:
                programs.add(PurePosixPath(name).name)
            if not member.isfile():
                continue
            if member.mode & (stat.S_ISUID | stat.S_ISGID):
                setuid.append(name)
            if member.mode & 0o111:
                programs.add(PurePosixPath(name).name)
            if name in _FACTS or (name.startswith(_DPKG_STATUS_PARTS) and not name.endswith(".md5sums")):
                text = _read(tar, member).decode(errors="replace")
                facts[name] = text
                parts.append(text) if name.startswith(_DPKG_STATUS_PARTS) else None
            elif _is_ours(name) and member.size <= _LARGEST:
                _write(unpacked, name, _read(tar, member))
    status = "\n\n".join([facts.get(_DPKG_STATUS, ""), *parts]).strip()
    release = next((facts[name] for name in _OS_RELEASE if name in facts), "")
    return ImageFiles(unpacked, status, release, tuple(sorted(setuid)), frozenset(programs))


def _is_ours(name: str) -> bool:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "node_modules" in path.parts:
        return False
    return not name.startswith(_PACKAGED)


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    return stream.read() if stream is not None else b""


def _write(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
