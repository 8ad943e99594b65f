"""What a person signs is what waits, and how a run ended is how the command ends."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from coffer.commands.release import release
from coffer.commands.release.outcome import failure
from coffer.commands.release.request import idempotency_key
from coffer.errors import (
    ApprovalError,
    CofferError,
    HeldByAnother,
    IntegrityError,
    Interrupted,
    RefusedByPolicy,
    StepFailed,
    UsageError,
)
from coffer.prefect_api import FlowRun, PrefectApi
from coffer.prefect_api.transport import Transport
from coffer.release.approval import Approval, ApprovalPolicy, Approver, check_approvals, read_public_key
from coffer.release.images import ImageReference
from coffer.release.observed import Colour
from coffer.release.plan import PlanKind, ReleasePlan
from coffer.release.service import ServiceSpec

RUN = "0197a0c4-7d52-7c8e-9a50-1c1c7a1f6f10"
IMAGE = "127.0.0.1:5000/creditai@sha256:" + "5f" * 32
PLAN = ReleasePlan(
    kind=PlanKind.RELEASE,
    release="r",
    service=ServiceSpec("creditai", "production", "127.0.0.1:5000/creditai", 3000),
    image=IMAGE,
    requested_by="grace",
    generation=3,
    old=None,
    new=Colour.BLUE,
    nothing_to_do="a test",
)


class Prefect:
    """One run that waits with a plan."""

    def __init__(self) -> None:
        self.state = {"type": "PAUSED", "name": "Suspended"}
        self.asked: dict[str, Any] = {
            "plan_hash": PLAN.hash,
            "environment": "production",
            "expires": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            "request": "grace",
            "plan": PLAN.to_json(),
        }
        self.waiting = 1
        self.as_text = False
        self.answers: list[dict[str, Any]] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        run = {"id": RUN, "name": "brave-fox", "state": self.state, "parameters": {"environment": "production"}}
        path = request.url.path.removeprefix("/api")
        if path == f"/flow_runs/{RUN}":
            return httpx.Response(200, json=run)
        if path == "/flow_runs/filter":
            return httpx.Response(200, json=[run] * self.waiting)
        if path == "/artifacts/filter":
            data = json.dumps(self.asked) if self.as_text else self.asked
            return httpx.Response(200, json=[{"data": data}] if self.asked else [])
        assert path == f"/flow_runs/{RUN}/resume"
        self.answers.append(json.loads(request.content)["run_input"])
        return httpx.Response(201, json={"status": "ACCEPT"})


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Prefect:
    prefect = Prefect()
    api = PrefectApi(Transport("http://prefect.test/api", transport=httpx.MockTransport(prefect.handle)))
    monkeypatch.setattr(PrefectApi, "from_environment", lambda: api)
    return prefect


def say(*arguments: str) -> Result:
    return CliRunner().invoke(release, list(arguments))


def refused(result: Result, kind: type[CofferError]) -> str:
    assert isinstance(result.exception, kind), result
    return str(result.exception)


def ssh_key(path: Path, key: Any) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return path


@pytest.fixture
def own_key(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "ada"
    said = say("approver-key", "--out", str(path))
    assert said.exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    return path, said.stdout.split('"')[1]


def counted(answer: dict[str, Any], public: str) -> tuple[Approval, ...]:
    """Count an answer as the flow does."""
    policy = ApprovalPolicy(1, ("release",), (Approver("ada", read_public_key(public), ("release",)),))
    return check_approvals(PLAN, [Approval.from_json(answer["signature"])], policy, datetime.now(UTC))


def test_an_approval_counts_for_the_plan_that_waits(prefect: Prefect, own_key: tuple[Path, str]) -> None:
    said = say("approve", RUN, "--as", "ada", "--key", str(own_key[0]), "--note", "go", "--valid-for", "2 days")
    assert said.exit_code == 0, said
    [answer] = prefect.answers
    [word] = counted(answer, own_key[1])
    assert (answer["approver"], answer["decision"], answer["note"], answer["role"]) == (
        "ada",
        "approve",
        "go",
        "release",
    )
    assert word.until == datetime.fromisoformat(prefect.asked["expires"])
    assert IMAGE in said.stderr
    assert "grace" in said.stderr


def test_an_ssh_key_that_a_person_has_already(prefect: Prefect, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    prefect.as_text = True
    assert say("approve", RUN, "--as", "ada", "--key", str(ssh_key(tmp_path / "id", key))).exit_code == 0
    assert counted(prefect.answers[0], public)


def test_a_rejection_is_signed_too(prefect: Prefect, own_key: tuple[Path, str]) -> None:
    assert say("reject", RUN, "--as", "ada", "--key", str(own_key[0]), "--reason", "not on a Friday").exit_code == 0
    with pytest.raises(ApprovalError, match="not on a Friday"):
        counted(prefect.answers[0], own_key[1])


def test_the_only_run_that_waits_needs_no_name(prefect: Prefect) -> None:
    assert say("approve", "--environment", "production", "--as", "ada").exit_code == 0
    assert prefect.answers[0]["signature"] == ""
    prefect.waiting = 2
    assert "2 releases of production wait" in refused(
        say("approve", "--environment", "production", "--as", "ada"), UsageError
    )
    prefect.waiting = 0
    refused(say("approve", "--environment", "production", "--as", "ada"), ApprovalError)
    assert "which run" in refused(say("approve", "--as", "ada"), UsageError)
    assert len(prefect.answers) == 1


def test_nothing_is_said_to_a_run_that_does_not_wait(prefect: Prefect) -> None:
    prefect.state = {"type": "COMPLETED", "name": "Completed"}
    assert "waits for nobody" in refused(say("approve", RUN, "--as", "ada"), ApprovalError)


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"expires": "2020-01-01T00:00:00+00:00"}, ApprovalError, "too long ago"),
        ({"plan_hash": "00" * 32}, IntegrityError, "not what its hash says"),
        ({"environment": "staging"}, IntegrityError, "not what its hash says"),
        ({"plan": PLAN.to_json().replace("grace", "mallory")}, IntegrityError, "not what its hash says"),
        ({"plan": "{}"}, UsageError, "not a release plan"),
        ({"plan_hash": "", "plan": ""}, ApprovalError, "no plan"),
    ],
)
def test_a_plan_that_is_not_what_it_says_is_not_signed(
    prefect: Prefect, own_key: tuple[Path, str], change: dict[str, Any], kind: type[CofferError], said: str
) -> None:
    prefect.asked |= change
    assert said in refused(say("approve", RUN, "--as", "ada", "--key", str(own_key[0])), kind)
    assert prefect.answers == []


def test_without_a_plan_there_is_nothing_to_sign(prefect: Prefect) -> None:
    prefect.asked = {}
    assert "left no plan" in refused(say("approve", RUN, "--as", "ada"), ApprovalError)


def test_a_key_that_cannot_be_used_is_named(prefect: Prefect, tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("junk")
    ssh_key(tmp_path / "rsa", generate_private_key(65537, 2048))
    for name, said in (
        ("junk", "not an approver's key"),
        ("rsa", "no Ed25519 key"),
        ("none", "cannot be read"),
    ):
        assert said in refused(say("approve", RUN, "--as", "ada", "--key", str(tmp_path / name)), UsageError)
    assert prefect.answers == []


def test_a_key_is_never_overwritten(own_key: tuple[Path, str]) -> None:
    before = own_key[0].read_bytes()
    refused(say("approver-key", "--out", str(own_key[0])), UsageError)
    assert own_key[0].read_bytes() == before
    assert len(base64.b64decode(own_key[1])) == 32


@pytest.mark.parametrize(
    ("message", "kind", "detail"),
    [
        ("Flow run encountered an exception: RefusedByPolicy: the gate refuses: CVE-1", RefusedByPolicy, "CVE-1"),
        ("Flow run encountered an exception: coffer.errors.HeldByAnother: a lease", HeldByAnother, "a lease"),
        ("Flow run encountered an exception: ZeroDivisionError: division by zero", StepFailed, "division"),
        ("Process exited with status code: 137", StepFailed, "137"),
        ("", StepFailed, ""),
    ],
)
def test_a_run_ends_as_its_flow_did(message: str, kind: type[CofferError], detail: str) -> None:
    error = failure(FlowRun(RUN, "brave-fox", "Failed", "FAILED", message=message))
    assert type(error) is kind
    assert detail in str(error)
    assert type(failure(FlowRun(RUN, "brave-fox", "Cancelled", "CANCELLED", message=message))) is Interrupted


def test_the_same_request_has_the_same_key_and_no_other() -> None:
    image, other = (
        ImageReference("r/creditai", "sha256:" + "5f" * 32),
        ImageReference("r/creditai", "sha256:" + "00" * 32),
    )
    assert idempotency_key("production", image, 1) == idempotency_key("production", image, 1)
    keys = {
        idempotency_key("production", image, 1),
        idempotency_key("production", image, 2),
        idempotency_key("staging", image, 1),
        idempotency_key("production", other, 1),
        idempotency_key("production", ImageReference("s/creditai", image.digest), 1),
    }
    assert len(keys) == 5
