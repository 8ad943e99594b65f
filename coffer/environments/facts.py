"""An environment file as the values that plans and gates are made of."""

from __future__ import annotations

import hashlib
import tomllib
from datetime import UTC, date, datetime, time
from pathlib import Path

from coffer.environments.model import Environment
from coffer.environments.references import resolve_text
from coffer.errors import EnvironmentFileError
from coffer.release.approval import ApprovalPolicy, Approver, read_public_key
from coffer.release.exceptions import GateException
from coffer.release.findings import Severity
from coffer.release.gates import GatePolicy
from coffer.release.plan import RolloutPolicy
from coffer.release.service import SecretReference, ServiceSpec


def secret_fingerprint(name: str, value: str) -> str:
    """Return a hash that changes with a secret and says nothing else of it.

    scrypt, so that a weak secret cannot be tried out of a plan at speed (RFC 7914, N=2^14, r=8, p=1).
    """
    salt = f"coffer secret {name}".encode()
    return hashlib.scrypt(value.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32).hex()


def service_spec(environment: Environment) -> ServiceSpec:
    """Describe what every instance gets; secrets by reference and fingerprint.

    Raises:
        NotThere: A secret's reference names nothing.
    """
    service = environment.service
    secrets = {
        name: SecretReference(reference, secret_fingerprint(name, resolve_text(reference)))
        for name, reference in service.secrets.items()
    }
    return ServiceSpec(
        name=service.name,
        environment=environment.name,
        repository=service.image,
        port=service.port,
        health=service.health,
        version=service.version,
        smoke=service.smoke,
        user=service.user,
        memory=service.memory,
        cpus=service.cpus,
        start_within=service.start_within.total_seconds(),
        stop_within=service.stop_within.total_seconds(),
        drain=service.drain_signal,
        reopen=service.reopen_signal,
        migrations=service.migrations,
        settings=service.settings,
        secrets=secrets,
        mounts=service.mounts,
    )


def rollout_policy(environment: Environment) -> RolloutPolicy:
    """Describe how a switch is made."""
    target = environment.target
    drain = target.drain.total_seconds()
    return RolloutPolicy(
        http_drain=drain,
        websocket_drain=drain,
        soak=target.soak.total_seconds(),
        tolerated_errors=target.tolerated_errors,
    )


def gate_policy(environment: Environment) -> GatePolicy:
    """Describe what refuses a release."""
    gate = environment.gate
    return GatePolicy(
        refuse=frozenset(Severity(name) for name in gate.refuse),
        unknown=gate.unknown,
        data_older_than=gate.data_older_than,
        covers=gate.covers,
    )


def approval_policy(environment: Environment) -> ApprovalPolicy:
    """Describe whose word is needed; every listed key speaks for the environment's roles.

    Raises:
        UsageError: A key is none.
        NotThere: The file of a key is not there.
    """
    approval = environment.approval
    approvers = tuple(Approver(name, _public_key(text), approval.roles) for name, text in approval.keys.items())
    return ApprovalPolicy(
        needed=approval.needed,
        roles=approval.roles,
        approvers=approvers,
        valid_for=approval.valid_for,
        requester_may_approve=approval.requester_may_approve,
    )


def _public_key(text: str) -> bytes:
    return read_public_key(resolve_text(text) if text.startswith(("file:", "env:")) else text)


def gate_exceptions(environment: Environment) -> tuple[GateException, ...]:
    """Read the dated exceptions.

    Raises:
        EnvironmentFileError: The file is not there or not of the form `[[exception]] finding reason owner until`.
    """
    if not environment.gate.exceptions:
        return ()
    path = beside(environment, environment.gate.exceptions)
    try:
        rows = tomllib.loads(path.read_text()).get("exception", [])
        return tuple(_exception(row) for row in rows)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentFileError(f"the exceptions in {path.name} cannot be read", detail=repr(error)) from error


def beside(environment: Environment, relative: str) -> Path:
    """Return a path that the file names relative to itself."""
    return (Path(environment.path).parent / relative).resolve()


def _exception(row: dict[str, object]) -> GateException:
    until = row.get("until")
    if isinstance(until, date) and not isinstance(until, datetime):
        until = datetime.combine(until, time(), UTC)
    return GateException(
        str(row["finding"]), str(row["reason"]), str(row["owner"]), until if isinstance(until, datetime) else None
    )
