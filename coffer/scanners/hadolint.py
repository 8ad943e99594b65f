"""hadolint: mistakes in the Dockerfile."""

from __future__ import annotations

import json
from pathlib import Path

from coffer import processes
from coffer.release.findings import Finding
from coffer.scanners.scanner import NoData, ScanResult, find_program, severity_of
from coffer.scanners.subject import ScanSubject


class Hadolint:
    """Looks at how the image is described. Needs no data from outside."""

    name = "hadolint"
    covers = ("dockerfile",)

    def scan(self, subject: ScanSubject, *, timeout: float) -> ScanResult:
        """Lint the source's Dockerfile, whatever it or a file beside it wants to have ignored."""
        program = find_program("hadolint")
        if subject.dockerfile is None:
            raise NoData("there is no Dockerfile to look at", detail="the source of this image is not at hand")
        config = subject.directory / "hadolint.yaml"
        config.write_text("{}\n")
        argv: list[str | Path] = [
            program,
            "--no-fail",
            "--disable-ignore-pragma",
            "-c",
            config,
            "-f",
            "json",
            subject.dockerfile,
        ]
        answer = processes.run(argv, timeout=timeout)
        version = processes.run([program, "--version"], timeout=30).stdout.strip().rpartition(" ")[2]
        return ScanResult(tuple(_finding(each) for each in json.loads(answer.stdout)), version)


def _finding(problem: dict[str, object]) -> Finding:
    where = f"Dockerfile:{problem['line']}"
    rule = str(problem["code"])
    return Finding(
        "hadolint", rule, severity_of(str(problem["level"])), where, str(problem["message"]), identity=f"{rule}:{where}"
    )
