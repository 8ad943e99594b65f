from __future__ import annotations

import io
import json
import subprocess
import tarfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coffer.errors import OutsideSystemError
from coffer.release.findings import Finding, ScanReport, ScanStatus, Severity
from coffer.release.images import ImageReference
from coffer.scanners import (
    DebianSecurity,
    Gitleaks,
    Hadolint,
    ImagePolicy,
    NoData,
    NotInstalled,
    Scanner,
    ScanResult,
    ScanSubject,
    from_sarif,
    run_all,
    scan_one,
    standard_scanners,
    to_sarif,
)
from coffer.scanners import scanner as scanner_room
from coffer.scanners.debian_packages import compare, read_packages
from coffer.scanners.filesystem import ImageFiles, read_filesystem
from coffer.scanners.security_pocket import SecurityPocket

NOW = datetime(2026, 11, 24, tzinfo=UTC)
IMAGE = ImageReference("127.0.0.1:5000/service", "sha256:" + "a" * 64)
STATUS = """\
Package: openssl
Status: install ok installed
Architecture: amd64
Version: 3.0.17-1~deb12u1

Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.17-1~deb12u1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: nodejs
Status: install ok installed
Architecture: amd64
Version: 18.20.4+dfsg-1~deb12u1
"""
OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
TOKEN = "ghp" + "_k3h5J2lQ9wErTyUiOpAsDfGhJkLzXcVbNm12"  # put together here, so that this file holds no secret


@pytest.fixture
def subject(tmp_path: Path) -> ScanSubject:
    (tmp_path / "scratch").mkdir()
    source = tmp_path / "source"
    source.mkdir()
    (source / "Dockerfile").write_text("ARG BASE_IMAGE=node:18\nFROM ${BASE_IMAGE} AS runner\nUSER 1001\n")
    return ScanSubject(
        image=IMAGE,
        directory=tmp_path / "scratch",
        now=NOW,
        archive=tmp_path / "image.tar",
        files=ImageFiles(dpkg_status=STATUS, os_release=OS_RELEASE),
        user="1001:1001",
        source=source,
    )


class Scripted:
    """A scanner that does what it is told."""

    covers = ("secrets",)

    def __init__(self, act, name: str = "scripted") -> None:
        self.name = name
        self._act = act

    def scan(self, subject: ScanSubject, *, timeout: float) -> ScanResult:
        return self._act(timeout)


def failing(error: BaseException) -> Scripted:
    def act(_timeout: float) -> ScanResult:
        raise error

    return Scripted(act)


# What happens to a scanner becomes its status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotInstalled("no program"), ScanStatus.NOT_INSTALLED),
        (NoData("nothing to compare with"), ScanStatus.NO_DATA),
        (OutsideSystemError("ended with 2"), ScanStatus.CRASHED),
        (ZeroDivisionError("a bug in the adapter"), ScanStatus.CRASHED),
        (json.JSONDecodeError("not json", "", 0), ScanStatus.CRASHED),
    ],
)
def test_a_failure_is_a_status_with_its_reason_and_never_a_pass(subject, error, status) -> None:
    report = scan_one(failing(error), subject, timeout=5)
    assert report.status is status
    assert report.reason
    assert report.findings == ()


def test_a_scanner_that_hangs_is_timed_out_and_holds_up_nobody(subject) -> None:
    hanging = Scripted(lambda _timeout: time.sleep(60), "hanging")
    good = Scripted(lambda _timeout: ScanResult(version="1"), "good")
    started = time.monotonic()
    reports = run_all(subject, [hanging, good], 0.1)
    assert time.monotonic() - started < 10
    assert [(r.scanner, r.status) for r in reports] == [
        ("hanging", ScanStatus.TIMED_OUT),
        ("good", ScanStatus.COMPLETED),
    ]


def test_a_program_that_runs_into_its_limit_is_timed_out(subject, monkeypatch, tmp_path) -> None:
    program = tmp_path / "hadolint"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(scanner_room.sys, "executable", str(tmp_path / "python"))
    assert scan_one(Hadolint(), subject, timeout=0.3).status is ScanStatus.TIMED_OUT


def test_a_program_that_is_not_there_is_not_installed(subject, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(scanner_room.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for scanner in standard_scanners():
        status = scan_one(scanner, subject, timeout=5).status
        own = isinstance(scanner, ImagePolicy | DebianSecurity)
        assert own or status is ScanStatus.NOT_INSTALLED, scanner.name


def test_a_program_that_crashes_is_not_a_pass(subject, monkeypatch, tmp_path) -> None:
    for name in ("trivy", "gitleaks", "hadolint"):
        (tmp_path / name).write_text("#!/bin/sh\necho '[]'\necho broken >&2\nexit 2\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(scanner_room.sys, "executable", str(tmp_path / "python"))
    for scanner in (Gitleaks(), Hadolint(), standard_scanners()[0]):
        report = scan_one(scanner, subject, timeout=5)
        assert report.status is ScanStatus.CRASHED
        assert "broken" in report.reason


# What every adapter keeps


@pytest.mark.parametrize("scanner", standard_scanners(), ids=lambda each: each.name)
def test_conformance_named_covering_and_without_an_image_no_pass(scanner: Scanner, tmp_path) -> None:
    assert scanner.name
    assert scanner.covers
    nothing = ScanSubject(IMAGE, tmp_path, NOW)
    report = scan_one(scanner, nothing, timeout=20)
    assert report.scanner == scanner.name
    assert report.covers == scanner.covers
    assert report.status is ScanStatus.NO_DATA, report.reason


# gitleaks and hadolint, the real programs


def test_a_secret_in_the_source_is_found_and_not_repeated(subject) -> None:
    assert subject.source
    (subject.source / "config.js").write_text(f"module.exports = {{ token: '{TOKEN}' }}; // gitleaks:allow\n")
    (subject.source / ".gitleaks.toml").write_text("[allowlist]\npaths = ['''.*''']\n")
    report = scan_one(Gitleaks(), subject, timeout=60)
    assert report.status is ScanStatus.COMPLETED, report.reason
    assert [(f.rule, f.severity, f.where) for f in report.findings] == [
        ("github-pat", Severity.CRITICAL, "config.js:1")
    ]
    assert TOKEN not in repr(report)


def test_a_secret_among_the_files_of_the_image_is_found(subject, tmp_path) -> None:
    (tmp_path / "files" / "app").mkdir(parents=True)
    (tmp_path / "files" / "app" / ".env").write_text(f"TOKEN={TOKEN}\n")
    with_files = replace(subject, files=replace(subject.files, unpacked=tmp_path / "files"))
    report = scan_one(Gitleaks(), with_files, timeout=60)
    assert [f.where for f in report.findings] == ["image:app/.env:1"]


def test_what_is_clean_completes_without_findings(subject) -> None:
    report = scan_one(Gitleaks(), subject, timeout=60)
    assert (report.status, report.findings) == (ScanStatus.COMPLETED, ())
    assert report.version


def test_a_mistake_in_the_dockerfile_is_found_even_if_it_asks_to_be_ignored(subject) -> None:
    assert subject.source
    (subject.source / "Dockerfile").write_text("FROM node:18\n# hadolint ignore=DL3020\nADD app.js /app/\n")
    report = scan_one(Hadolint(), subject, timeout=60)
    assert report.status is ScanStatus.COMPLETED, report.reason
    assert {f.rule: f.severity for f in report.findings}["DL3020"] is Severity.HIGH
    assert next(f.where for f in report.findings if f.rule == "DL3020") == "Dockerfile:3"


# Our own rules


def rules(subject: ScanSubject) -> dict[str, Severity]:
    report = scan_one(ImagePolicy(), subject, timeout=5)
    assert report.status is ScanStatus.COMPLETED, report.reason
    return {finding.rule: finding.severity for finding in report.findings}


@pytest.mark.parametrize("user", ["", "root", "0", "0:0", "root:root"])
def test_an_image_that_starts_as_root_is_found(subject, user) -> None:
    assert rules(replace(subject, user=user))["root-user"] is Severity.CRITICAL


def test_another_user_than_the_agreed_one_is_found(subject) -> None:
    assert rules(replace(subject, user="node"))["other-user"] is Severity.HIGH
    assert not {"root-user", "other-user"} & set(rules(subject))


def test_the_end_of_life_is_told_by_date(subject) -> None:
    assert rules(subject)["eol:node-18"] is Severity.HIGH
    assert "eol:node-18" not in rules(replace(subject, now=datetime(2025, 1, 1, tzinfo=UTC)))
    assert rules(replace(subject, now=datetime(2029, 1, 1, tzinfo=UTC)))["eol:debian-12"] is Severity.HIGH
    assert rules(replace(subject, environment={"NODE_VERSION": "99.0.0"}))["eol:node-99"] is Severity.UNKNOWN


@pytest.mark.parametrize(
    ("dockerfile", "floats"),
    [
        ("FROM node\n", True),
        ("FROM node:latest\n", True),
        ("FROM --platform=linux/amd64 registry.example:5000/node AS x\n", True),
        ("ARG BASE=node:latest\nFROM ${BASE}\n", True),
        ("FROM node:18 AS builder\nFROM builder\n", False),
        ("FROM node@sha256:" + "a" * 64 + "\n", False),
        ("ARG BASE\nFROM $BASE\n", False),
        ("FROM scratch\n", False),
    ],
)
def test_a_base_that_can_change_is_found(subject, dockerfile, floats) -> None:
    subject.source.joinpath("Dockerfile").write_text(dockerfile)
    assert ("floating-base" in rules(subject)) is floats


def test_build_tools_and_setuid_files_are_told(subject) -> None:
    files = replace(subject.files, programs=frozenset({"node", "gcc"}), setuid=("usr/bin/su",))
    found = rules(replace(subject, files=files))
    assert (found["build-tools"], found["setuid-files"]) == (Severity.MEDIUM, Severity.INFO)


# Debian's security pocket


def pocket(**versions: str) -> DebianSecurity:
    published = SecurityPocket(versions, NOW, "bookworm-security of 2026-11-22")
    return DebianSecurity(lambda *_place, timeout: published)


def test_a_pending_security_update_is_found(subject) -> None:
    report = scan_one(pocket(libssl3="3.0.18-1~deb12u1", openssl="3.0.17-1~deb12u1", gone="9"), subject, timeout=5)
    assert report.status is ScanStatus.COMPLETED
    assert report.data_from == NOW
    assert [(f.rule, f.fixed_in, f.severity) for f in report.findings] == [
        ("debian-security:openssl", "3.0.18-1~deb12u1", Severity.HIGH)
    ]


def test_an_image_that_is_no_debian_cannot_be_compared(subject) -> None:
    other = replace(subject, files=replace(subject.files, os_release="ID=alpine\n"))
    assert scan_one(pocket(), other, timeout=5).status is ScanStatus.NO_DATA


def test_without_a_source_of_data_there_is_no_answer(subject) -> None:
    odd = replace(subject, files=replace(subject.files, os_release=OS_RELEASE.replace("bookworm", "nosuch")))
    assert scan_one(DebianSecurity(), odd, timeout=30).status is ScanStatus.NO_DATA


def test_only_installed_packages_are_read() -> None:
    assert [p.name for p in read_packages(STATUS)] == ["openssl", "libssl3", "nodejs"]
    assert [p.source for p in read_packages(STATUS)] == ["openssl", "openssl", "nodejs"]


KNOWN_ORDER = ["1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0a-1", "1.0+dfsg-1", "1.1-1~deb12u1", "1.1-1", "1.10-1", "2:0.1"]


def test_versions_are_ordered_as_dpkg_orders_them() -> None:
    for index, version in enumerate(KNOWN_ORDER):
        for later in KNOWN_ORDER[index + 1 :]:
            assert compare(version, later) == -1, (version, later)
            assert compare(later, version) == 1
        assert compare(version, version) == 0
    assert compare("1.0", "1.00-0") == 0


version_text = st.from_regex(r"(?:[0-2]:)?[0-9][a-zA-Z0-9.+~]{0,6}(?:-[a-z0-9.+~]{1,4})?", fullmatch=True)


@settings(deadline=None, max_examples=25)
@given(version_text, version_text)
def test_any_versions_are_ordered_as_dpkg_itself_does(left: str, right: str) -> None:
    relation = {-1: "lt", 0: "eq", 1: "gt"}[compare(left, right)]
    assert subprocess.run(["dpkg", "--compare-versions", left, relation, right], check=False).returncode == 0


# The image's file system


def test_the_file_system_is_read_and_nothing_leaves_its_folder(tmp_path) -> None:
    archive = tmp_path / "fs.tar"
    members = {
        "etc/os-release": (OS_RELEASE, 0o644),
        "var/lib/dpkg/status": (STATUS, 0o644),
        "usr/bin/su": ("", 0o4755),
        "usr/local/bin/npm": ("", 0o755),
        "app/server.js": ("x", 0o644),
        "app/node_modules/a/index.js": ("x", 0o644),
        "../escape": ("x", 0o644),
        "/absolute": ("x", 0o644),
    }
    with tarfile.open(archive, "w") as tar:
        for name, (text, mode) in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), mode
            tar.addfile(info, io.BytesIO(text.encode()))
    files = read_filesystem(archive, tmp_path / "out" / "files")
    assert files.distribution("VERSION_CODENAME") == "bookworm"
    assert files.dpkg_status == STATUS.strip()
    assert files.setuid == ("usr/bin/su",)
    assert {"su", "npm"} <= files.programs
    written = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert written == ["files/app/server.js", "files/usr/local/bin/npm"]


# SARIF


def test_findings_survive_sarif() -> None:
    findings = tuple(
        Finding("gitleaks", f"rule-{severity}", severity, f"src/a.js:{n}", "a title", "1.2", f"id-{n}")
        for n, severity in enumerate(Severity, start=1)
    )
    good = ScanReport("gitleaks", ("secrets",), ScanStatus.COMPLETED, "8", findings)
    bad = ScanReport("trivy", ("secrets",), ScanStatus.CRASHED, reason="ended with 2")
    document = json.loads(json.dumps(to_sarif([good, bad])))
    assert tuple(from_sarif(document)) == findings
    assert [run["invocations"][0]["executionSuccessful"] for run in document["runs"]] == [True, False]
    assert document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}


def test_another_tools_sarif_is_read() -> None:
    result = {"ruleId": "js/xss", "level": "error", "message": {"text": "XSS"}}
    place = {"artifactLocation": {"uri": "a.js"}, "region": {"startLine": 3}}
    located = {**result, "locations": [{"physicalLocation": place}]}
    document = {"runs": [{"tool": {"driver": {"name": "CodeQL"}}, "results": [located]}]}
    assert list(from_sarif(document)) == [
        Finding("CodeQL", "js/xss", Severity.HIGH, "a.js:3", "XSS", identity="js/xss:a.js:3")
    ]
