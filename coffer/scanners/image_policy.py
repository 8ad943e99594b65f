"""Our own look at the image: who it runs as, what it is built on, what it should not carry."""

from __future__ import annotations

import re
from collections.abc import Iterator

from coffer.release.findings import Finding, Severity
from coffer.scanners.debian_packages import read_packages
from coffer.scanners.end_of_life import support_of
from coffer.scanners.scanner import NoData, ScanResult
from coffer.scanners.subject import ScanSubject

_NAME = "image-policy"
_BUILD_TOOLS = ("cc", "gcc", "g++", "make", "ld", "npm", "npx", "yarn", "pip", "cargo", "go")
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(?P<base>\S+)(?:\s+AS\s+(?P<stage>\S+))?", re.IGNORECASE)
_ARG = re.compile(r"^\s*ARG\s+(?P<name>\w+)=(?P<value>\S+)", re.IGNORECASE)


class ImagePolicy:
    """Rules for every image that is released.

    Args:
        user: The numeric account it must run as.
    """

    name = _NAME
    covers = ("image-policy", "end-of-life")

    def __init__(self, user: int = 1001) -> None:
        self._user = user

    def scan(self, subject: ScanSubject, *, timeout: float) -> ScanResult:
        """Apply the rules."""
        if subject.archive is None:
            raise NoData("there is no image to look at")
        findings = (
            *self._user_rules(subject),
            *_base_rules(subject),
            *_age_rules(subject),
            *_content_rules(subject),
        )
        return ScanResult(findings, "1")

    def _user_rules(self, subject: ScanSubject) -> Iterator[Finding]:
        account = subject.user.partition(":")[0]
        if account in ("", "0", "root"):
            yield _finding("root-user", Severity.CRITICAL, "USER", "the image starts as root")
        elif account != str(self._user):
            title = f"the image starts as '{account}', not as the agreed number {self._user}"
            yield _finding("other-user", Severity.HIGH, "USER", title)


def _base_rules(subject: ScanSubject) -> Iterator[Finding]:
    if subject.dockerfile is None:
        return
    values: dict[str, str] = {}
    stages: set[str] = set()
    for number, line in enumerate(subject.dockerfile.read_text().splitlines(), start=1):
        if argument := _ARG.match(line):
            values[argument["name"]] = argument["value"].strip("\"'")
        if base := _FROM.match(line):
            image = re.sub(r"\$\{?(\w+)[^}\s/:]*\}?", lambda found: values.get(found[1], found[0]), base["base"])
            if image.lower() not in stages and image != "scratch" and _floats(image):
                title = f"'{image}' can be another image tomorrow"
                yield _finding("floating-base", Severity.HIGH, f"Dockerfile:{number}", title)
            stages.add((base["stage"] or "").lower())


def _floats(image: str) -> bool:
    if "@" in image or "$" in image:  # what no default is given for comes from whoever builds
        return False
    tag = image.rpartition("/")[2].partition(":")[2]
    return tag in ("", "latest")


def _age_rules(subject: ScanSubject) -> Iterator[Finding]:
    for product, version in _products(subject):
        support, cycle = support_of(product, version), version.partition(".")[0]
        if support is None:
            title = f"it is not known until when {product} {cycle} gets security fixes"
            yield _finding(f"eol:{product}-{cycle}", Severity.UNKNOWN, f"{product} {version}", title)
        elif support.ends <= subject.now:
            title = f"no security fixes since {support.ends:%Y-%m-%d} ({support.source})"
            yield _finding(f"eol:{product}-{cycle}", Severity.HIGH, f"{product} {version}", title)


def _products(subject: ScanSubject) -> Iterator[tuple[str, str]]:
    if subject.files.distribution("ID") == "debian":
        yield "debian", subject.files.distribution("VERSION_ID")
    if node := subject.environment.get("NODE_VERSION"):  # the official image says it
        yield "node", node
    else:
        packages = read_packages(subject.files.dpkg_status)
        yield from (("node", package.version.partition("-")[0]) for package in packages if package.name == "nodejs")


def _content_rules(subject: ScanSubject) -> Iterator[Finding]:
    tools = sorted(subject.files.programs.intersection(_BUILD_TOOLS))
    if tools:
        title = f"build tools in what is released: {', '.join(tools)}"
        yield _finding("build-tools", Severity.MEDIUM, "programs", title)
    if subject.files.setuid:
        title = (
            f"{len(subject.files.setuid)} files run as their owner; dropped capabilities and no-new-privileges stop it"
        )
        yield _finding("setuid-files", Severity.INFO, ", ".join(subject.files.setuid[:5]), title)


def _finding(rule: str, severity: Severity, where: str, title: str) -> Finding:
    return Finding(_NAME, rule, severity, where, title, identity=rule if ":" in rule else f"{_NAME}:{rule}")
