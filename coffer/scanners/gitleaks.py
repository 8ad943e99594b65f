"""gitleaks: secrets in the source and in the files that the image carries."""

from __future__ import annotations

import json
import time
from pathlib import Path

from coffer import processes
from coffer.release.findings import Finding, Severity
from coffer.scanners.scanner import NoData, ScanResult, find_program
from coffer.scanners.subject import ScanSubject

# A file of ours, so that neither a .gitleaks.toml in the source nor a comment there can silence it:
# exceptions are dated and signed off in the environment's files. What npm installs is public.
_CONFIG = """\
[extend]
useDefault = true
[[allowlists]]
description = "installed packages"
paths = ['''(^|/)node_modules/''', '''(^|/)\\.git/''']
"""
_LEAKS_FOUND = 1


class Gitleaks:
    """Looks for secrets by pattern and entropy. Needs no data from outside."""

    name = "gitleaks"
    covers = ("secrets",)

    def scan(self, subject: ScanSubject, *, timeout: float) -> ScanResult:
        """Scan the source and the image's own files; the report names places, never the secret."""
        started = time.monotonic()
        program = find_program("gitleaks")
        folder = subject.directory / self.name
        folder.mkdir(exist_ok=True)
        config = folder / "config.toml"
        config.write_text(_CONFIG)
        places = {"": subject.source, "image:": subject.files.unpacked}
        if not any(places.values()):
            raise NoData("there is neither source nor image to look at")
        findings: list[Finding] = []
        for prefix, place in places.items():
            if place is not None:
                left = max(1.0, timeout - (time.monotonic() - started))
                findings += _look(program, config, place, folder / "report.json", prefix, left)
        version = processes.run([program, "version"], timeout=30).stdout.strip()
        return ScanResult(tuple(findings), version)


def _look(program: Path, config: Path, place: Path, report: Path, prefix: str, timeout: float) -> list[Finding]:
    argv: list[str | Path] = [
        program, "dir", place, "--config", config, "--gitleaks-ignore-path", config.parent, "--ignore-gitleaks-allow",
        "--no-banner", "--log-level", "error", "--redact=100", "--report-format", "json", "--report-path", report,
    ]  # fmt: skip
    report.unlink(missing_ok=True)
    processes.run(argv, timeout=timeout, accept=(0, _LEAKS_FOUND))
    return [_finding(leak, place, prefix) for leak in json.loads(report.read_bytes()) or ()]


def _finding(leak: dict[str, object], place: Path, prefix: str) -> Finding:
    path = Path(str(leak["File"]))
    name = path.relative_to(place) if path.is_relative_to(place) else path
    where = f"{prefix}{name}:{leak['StartLine']}"
    return Finding(
        "gitleaks", str(leak["RuleID"]), Severity.CRITICAL, where, str(leak["Description"]), identity=f"secret:{where}"
    )
