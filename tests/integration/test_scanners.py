"""Every scanner on a real image of a real engine: a planted secret, root, and an old package are found."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import docker
import pytest

from coffer.release.findings import ScanReport, ScanStatus, Severity
from coffer.scanners import (
    ScanSubject,
    Trivy,
    bill_of_materials,
    prepare,
    run_all,
    scan_one,
    standard_scanners,
    to_sarif,
)
from coffer.targets.image_builder import build_and_push
from tests.services.registry import Registry, registry_server

pytestmark = pytest.mark.integration
__all__ = ["registry_server"]

TOKEN = "ghp" + "_k3h5J2lQ9wErTyUiOpAsDfGhJkLzXcVbNm12"
STATUS = """\
Package: base-files
Status: install ok installed
Architecture: amd64
Version: 12.4

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc
Version: 2.36-9

Package: nodejs
Status: install ok installed
Architecture: amd64
Version: 18.20.4+dfsg-1~deb12u1
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="module")
def debian(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bones of a Debian: what scanners read, and nothing that would have to be fetched."""
    folder = tmp_path_factory.mktemp("debian")
    for name, text in {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
        "etc/debian_version": "12.1\n",
        "var/lib/dpkg/status": STATUS,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    archive = folder.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, arcname=".")
    engine.api.import_image_from_file(str(archive), repository="coffer-evidence-debian", tag="1")
    yield "coffer-evidence-debian:1"
    engine.images.remove("coffer-evidence-debian:1", force=True)


@pytest.fixture(scope="module")
def subject(engine, debian, registry_server: Registry, tmp_path_factory) -> ScanSubject:
    source = tmp_path_factory.mktemp("planted")
    (source / "Dockerfile").write_text("ARG BASE_IMAGE=node:latest\nFROM ${BASE_IMAGE}\nADD config.js /app/\n")
    (source / "config.js").write_text(f"exports.token = '{TOKEN}';\n")
    built = build_and_push(
        engine,
        source,
        f"{registry_server.address}/planted",
        build_args={"BASE_IMAGE": debian},
        tests_target=None,
        labels={},
    )
    directory = tmp_path_factory.mktemp("scan") / "work"
    return prepare(engine, built.reference, directory, now=datetime.now(UTC), source=source)


@pytest.fixture(scope="module")
def reports(subject: ScanSubject) -> dict[str, ScanReport]:
    return {report.scanner: report for report in run_all(subject, standard_scanners(), 120)}


def found(report: ScanReport) -> dict[str, Severity]:
    assert report.status is ScanStatus.COMPLETED, report.reason
    return {finding.rule: finding.severity for finding in report.findings}


def test_a_planted_secret_is_found_by_two_witnesses_in_source_and_image(reports) -> None:
    assert found(reports["trivy"])["github-pat"] is Severity.CRITICAL
    assert found(reports["gitleaks"])["github-pat"] is Severity.CRITICAL
    places = {finding.where for finding in reports["gitleaks"].findings}
    assert places == {"config.js:1", "image:app/config.js:1"}
    identities = [{f.identity for f in reports[name].findings} for name in ("trivy", "gitleaks")]
    assert "secret:image:app/config.js:1" in identities[0] & identities[1]
    assert TOKEN not in repr(reports)


def test_what_was_scanned_before_is_found_again_by_its_layers(subject: ScanSubject, reports) -> None:
    again = scan_one(Trivy(), subject, timeout=120)
    assert again.findings == reports["trivy"].findings
    assert found(again)["github-pat"] is Severity.CRITICAL


def test_root_a_floating_base_and_an_end_of_life_are_found(reports) -> None:
    rules = found(reports["image-policy"])
    assert rules["root-user"] is Severity.CRITICAL
    assert rules["floating-base"] is Severity.HIGH
    assert rules["eol:node-18"] is Severity.HIGH
    assert found(reports["trivy"])["DS-0002"] is Severity.HIGH


def test_a_missing_security_update_is_found_in_todays_data(reports) -> None:
    assert found(reports["debian-security"])["debian-security:glibc"] is Severity.HIGH
    finding = next(f for f in reports["debian-security"].findings if f.where == "libc6 2.36-9")
    assert finding.fixed_in.startswith("2.36-9+deb12u")
    assert reports["debian-security"].data_from is not None


def test_the_dockerfile_is_linted(reports) -> None:
    assert found(reports["hadolint"])["DL3020"] is Severity.HIGH


def test_without_a_vulnerability_database_there_is_no_pass(subject, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path))
    report = run_all(subject, [standard_scanners()[1]], 60)[0]
    assert report.covers == ("npm-vulnerabilities",)
    assert report.status is ScanStatus.NO_DATA


def test_all_of_it_goes_out_as_sarif(reports) -> None:
    document = json.loads(json.dumps(to_sarif(reports.values())))
    assert len(document["runs"]) == len(reports)
    assert sum(len(run["results"]) for run in document["runs"]) == sum(len(r.findings) for r in reports.values())


def test_the_bill_of_materials_is_the_same_each_time(subject) -> None:
    first = bill_of_materials(subject)
    assert bill_of_materials(subject) == first
    document = json.loads(first)
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == str(subject.image)
    assert {"libc6", "nodejs"} <= {component["name"] for component in document["components"]}


def test_opening_up_again_replaces_what_a_broken_off_attempt_left(engine, subject: ScanSubject, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "leftover").write_text("x")
    again = prepare(engine, subject.image, tmp_path / "work", now=subject.now)
    assert not (tmp_path / "work" / "leftover").exists()
    assert again.files.dpkg_status == subject.files.dpkg_status
    assert again.user == ""
