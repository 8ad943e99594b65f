"""The recovery kit: one file, for people and for `coffer recover --kit`, with everything but the key and the secrets.

It reads from the top as a page for the worst night; at its end stands the same for the program, with a hash of all of
it and the signature of the writer who made it: whoever changes a letter is noticed. Which vault it leads to is proven
by the root's fingerprint, which FILE.pub beside the identity has pinned too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec

import coffer
from coffer.environments import Environment, load
from coffer.environments.references import Reference, resolve
from coffer.errors import IntegrityError, NotThere, UsageError
from coffer.keys import WriterCredentials, signing
from coffer.recovery import kit_page
from coffer.recovery.access import VaultAddress, recovery_of
from coffer.sources import references

_PURPOSE = b"coffer recovery kit"
_BEGIN, _END = "-----BEGIN COFFER KIT-----", "-----END COFFER KIT-----"
_TAIL = re.compile(r"\nSHA-256 of all above: ([0-9a-f]{64})\nSigned by ([0-9a-f]{64}): ([0-9a-f]{128})\n\Z")
_HOST_FIELDS = ("docker", "network", "directory", "haproxy_socket", "edge_url", "edge_ca", "uploads")
_REGISTRY_FIELDS = ("address", "username")


class Kit(msgspec.Struct, frozen=True, kw_only=True, tag="coffer-kit-1", tag_field="type"):
    """What a kit holds.

    Attributes:
        written: When, ISO 8601.
        service: Whose.
        environment: Where it ran.
        environment_file: The environment file's text.
        stores: The vault's stores, in order of preference.
        vault: The vault's id.
        root: Fingerprint of its root key.
        hosts: What references to hosts, registry and vault resolve to, without any secret.
        secrets: References that hold secrets; a point of the vault holds what they resolve to.
        signer: Public key (hex) of the writer who made it.
    """

    written: str
    service: str
    environment: str
    environment_file: str
    stores: list[str]
    vault: str
    root: str
    hosts: dict[str, dict[str, str]]
    secrets: list[str]
    signer: str

    def load_environment(self, folder: Path) -> Environment:
        """Return the environment; its file is written into a folder of the caller's.

        Raises:
            EnvironmentFileError: This version does not understand it.
        """
        path = folder / f"{self.environment}.toml"
        path.write_text(self.environment_file)
        return load(str(path))


def make_kit(environment: Environment, credentials: WriterCredentials) -> Kit:
    """Gather what a kit holds from an environment whose references resolve now.

    Args:
        environment: Whose.
        credentials: The vault's writer.

    Raises:
        NotThere: A reference names nothing.
    """
    address = VaultAddress.of(environment)
    hosts = {Reference.parse(text).key: _fields(text, _HOST_FIELDS) for text in environment.target.hosts}
    registry = environment.release.registry
    hosts[Reference.parse(registry).key] = _fields(registry, _REGISTRY_FIELDS)
    secrets = [each.key for each in references.wanted(environment) if each.key not in hosts]
    return Kit(
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        service=environment.service.name,
        environment=environment.name,
        environment_file=Path(environment.path).read_text(),
        stores=list(address.stores),
        vault=credentials.vault,
        root=credentials.root,
        hosts={**hosts, Reference.parse(recovery_of(environment).vault).key: {}},
        secrets=secrets,
        signer=credentials.public.hex(),
    )


def render(kit: Kit, credentials: WriterCredentials, vault_format: str) -> str:
    """Return the kit's text, signed."""
    document = msgspec.json.format(msgspec.json.encode(kit)).decode()
    body = f"{kit_page.page(kit, vault_format)}\n{_BEGIN}\n{document}\n{_END}\n"
    digest = hashlib.sha256(body.encode()).hexdigest()
    signature = signing.sign(credentials.signing_key, _PURPOSE, body.encode()).hex()
    return f"{body}\nSHA-256 of all above: {digest}\nSigned by {kit.signer}: {signature}\n"


def load_kit(path: Path) -> Kit:
    """Read a kit and prove that it is what was written.

    Raises:
        UsageError: The file is not there or is no kit.
        IntegrityError: It was changed since.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read", detail=str(error)) from error
    tail = _TAIL.search(text)
    body = text[: tail.start()] if tail else ""
    begin, end = body.rfind(f"\n{_BEGIN}\n"), body.rfind(f"\n{_END}\n")
    if tail is None or begin < 0 or end < begin:
        raise UsageError(f"{path} is no recovery kit", detail="its end is missing", resolution="Use another copy of it")
    content, (digest, signer, signature) = body.encode(), tail.groups()
    signed = signing.is_signed(bytes.fromhex(signer), bytes.fromhex(signature), _PURPOSE, content)
    if hashlib.sha256(content).hexdigest() != digest or not signed:
        raise IntegrityError(f"{path} is not the kit that was written", resolution="Use another copy of it")
    try:
        kit = msgspec.json.decode(body[begin + len(_BEGIN) + 2 : end], type=Kit)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path} is of another version", detail=str(error)) from error
    if kit.signer != signer:
        raise IntegrityError(f"{path} is signed by another than it says", resolution="Use another copy of it")
    return kit


def format_document() -> str:
    """Return the description of the vault's format, which a kit carries along.

    Raises:
        NotThere: Coffer is installed without its docs/ folder.
    """
    path = Path(coffer.__file__).resolve().parents[1] / "docs" / "vault-format.md"
    try:
        return path.read_text()
    except OSError as error:
        raise NotThere(
            "the description of the vault's format is not here", detail=str(path), resolution="Use a checkout of Coffer"
        ) from error


def _fields(text: str, names: tuple[str, ...]) -> dict[str, str]:
    value = resolve(text)
    if not isinstance(value, Mapping):
        raise UsageError(f"{text} is a plain value, not a set of fields")
    fields = cast("Mapping[str, Any]", value)
    return {name: str(fields[name]) for name in names if fields.get(name)}


def as_json(kit: Kit) -> dict[str, Any]:
    """Return a kit as `--json` prints it."""
    document: dict[str, Any] = json.loads(msgspec.json.encode(kit))
    return document
