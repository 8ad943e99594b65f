"""Who may open, who may write, how long points are kept: changes that the root key signs. Data is never touched."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from coffer.errors import CofferError, NotThere, RefusedByPolicy, UsageError
from coffer.keys import PrunerCredentials, Recipient, WriterCredentials
from coffer.keys.opener import Opener
from coffer.keys.passphrase import Passphrase
from coffer.vault import configuration as configurations
from coffer.vault import frames, names, passphrases
from coffer.vault.catalogue import Catalogue
from coffer.vault.configuration import Configuration, RecipientRecord, WriterRecord
from coffer.vault.index_keys import open_index_keys
from coffer.vault.known_heads import KnownHeads
from coffer.vault.passphrases import Remembered
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.root_authority import RootAuthority
from coffer.vault.settling import Settled
from coffer.vault.store_set import StoreSet
from coffer.vault.stores.protocol import Store


@dataclass(frozen=True)
class Change:
    """What a change did.

    Attributes:
        number: Number of the configuration that stands now.
        rewrapped: Keys that were wrapped anew.
        left: Old key objects that a store would not delete: whoever could open them still can.
        problems: Key objects that were left as they are, and why.
    """

    number: int
    rewrapped: int = 0
    left: int = 0
    problems: tuple[str, ...] = ()


class VaultAdministration:
    """Changes a vault's configuration; every store must answer.

    Args:
        stores: The vault's stores.
        who: A recipient: recipients hold the root key.
        root: Fingerprint of the root key to believe, where no file pins it.
        believe: Beginning of the SHA-256 of the configuration to believe, where two bear the highest number.

    Raises:
        WrongKey: Whoever asks is no recipient.
        IntegrityError: The vault is not the pinned one, or was set back.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        who: Opener | Passphrase,
        *,
        root: str | None = None,
        believe: str | None = None,
    ) -> None:
        self._stores = StoreSet(stores)
        pins = {} if isinstance(who, Passphrase) else who.pins
        self.configuration, _ = configurations.find_pinned(self._stores, pins, root, chosen=believe)
        self._opener = passphrases.settle_opener(self._stores, self.configuration, who)
        heads = KnownHeads(self._opener.path, self.configuration.vault.hex())
        configurations.check_number(self._stores, self.configuration, heads.configuration)
        self._root = RootAuthority(self._stores, self.configuration, self._opener)

    def add_recipient(self, recipient: Recipient) -> Change:
        """Let someone open all points, old and new.

        Raises:
            UsageError: They can already.
        """
        new = RecipientRecord(recipient.name, recipient.public, recipient.kind)
        if any(each.fingerprint == new.fingerprint for each in self.configuration.recipients):
            already = UsageError("That recipient is one already", detail=recipient.fingerprint)
            return self._complete(already, begun=True)
        self._check_recipient_name(new.name)
        recipient.pin(self.configuration.vault.hex(), self.configuration.fingerprint)
        self._publish(recipients=[*self.configuration.recipients, new])
        return self.settle()

    def add_passphrase(self, remembered: Remembered) -> Change:
        """Let whoever knows a passphrase open all points, old and new.

        Raises:
            UsageError: The passphrase is too short, or the name is taken.
        """
        self._check_recipient_name(remembered.name)
        self._root.check_stores()
        new, named = passphrases.keep(self.configuration.vault, remembered, self._root.secret)
        self._root.put(named)
        self._publish(recipients=[*self.configuration.recipients, new])
        return self.settle()

    def remove_recipient(self, who: str) -> Change:
        """Wrap all keys without someone, and take a new index key into use that they never knew.

        What they copied before stays theirs. Nothing that is written from now on opens with their key.

        Args:
            who: Name or fingerprint.

        Raises:
            NotThere: No recipient has that name or fingerprint, or several have.
            RefusedByPolicy: It is the one who asks.
        """
        going = [each for each in self.configuration.recipients if who in (each.name, each.fingerprint.hex())]
        if len(going) > 1:
            raise NotThere("Several recipients are called so", detail=who, resolution="Give the fingerprint")
        if not going:
            absent = NotThere("There is no such recipient", detail=who)
            was = any(
                who in (each.name, each.fingerprint.hex())
                for old in configurations.history(self._stores, self.configuration)
                for each in old.recipients
            )
            return self._complete(absent, begun=was)
        if going[0].fingerprint.hex() == self._opener.fingerprint:
            raise RefusedByPolicy("Nobody removes themselves", resolution="Let another recipient do it")
        staying = [each for each in self.configuration.recipients if each.fingerprint != going[0].fingerprint]
        self._publish(recipients=staying, new_index_key=True)
        return self.settle()

    def add_writer(self, name: str, path: Path) -> WriterCredentials:
        """Make another writer's credentials and admit it.

        Raises:
            UsageError: The name is taken or the file exists.
        """
        if any(each.name == name and not each.revoked_ns for each in self.configuration.writers):
            raise UsageError("A writer of that name exists", detail=name)
        self._root.check_stores()
        vault, number = self.configuration.vault.hex(), self.configuration.number + 1
        credentials = WriterCredentials.generate(vault, self.configuration.fingerprint, number, name).save(path)
        new = WriterRecord(name, credentials.public, credentials.recipient)
        self._publish(writers=[*self.configuration.writers, new])
        self.settle()
        return credentials

    def revoke_writer(self, name: str) -> Change:
        """Believe a writer no longer, and take a new index key into use that it never knew.

        What it has committed until now stays genuine, by name.

        Raises:
            NotThere: No active writer is called so.
        """
        mine = next((each for each in self.configuration.writers if each.name == name and not each.revoked_ns), None)
        if mine is None:
            absent = NotThere("There is no active writer of that name", detail=name)
            return self._complete(absent, begun=any(each.name == name for each in self.configuration.writers))
        before = self.configuration
        revoked = msgspec.structs.replace(mine, revoked_ns=time.time_ns(), kept=self._signed_by(mine, before))
        self._publish(writers=_with(before.writers, revoked), new_index_key=True)
        kept = self._signed_by(mine, before)
        if kept != revoked.kept:  # it committed a point while this was under way
            self._publish(writers=_with(before.writers, msgspec.structs.replace(revoked, kept=kept)))
        return self.settle()

    def set_retention(self, policy: RetentionPolicy) -> Change:
        """Say how long points are kept, at least: no pruner can keep less."""
        retention = policy.as_keys()
        if retention != self.configuration.retention:
            self._publish(retention=retention)
        return Change(self.configuration.number)

    def make_pruner(self, path: Path, credentials_file: Path | None) -> None:
        """Write a pruner's file."""
        pruner = PrunerCredentials(self.configuration.vault.hex(), self.configuration.fingerprint, credentials_file)
        pruner.save(path)

    def settle(self) -> Change:
        """Complete what a change that was cut short has left, and do nothing where nothing is left.

        Raises:
            Unreachable: A store does not answer.
        """
        return self._change(self._root.settle(self.configuration))

    def settle_two(self) -> Change:
        """Publish what is believed under the next number, so that two configurations of one number are history."""
        self._publish()
        return self.settle()

    def _change(self, settled: Settled) -> Change:
        return Change(self.configuration.number, settled.rewrapped, settled.left, tuple(settled.problems))

    def _complete(self, error: CofferError, *, begun: bool) -> Change:
        """Take a request for what stands already as a wish to complete it; refuse it if nothing was left to do."""
        settled = self._root.settle(self.configuration) if begun else Settled()
        if not settled.changed:
            raise error
        return self._change(settled)

    def _check_recipient_name(self, name: str) -> None:
        if any(each.name == name for each in self.configuration.recipients):
            raise UsageError("A recipient of that name exists", detail=name, resolution="Choose another: --name")

    def _signed_by(self, writer: WriterRecord, configuration: Configuration) -> list[bytes]:
        """Return the SHA-256 of a writer's manifests and lists that are genuine; what is not is passed over."""
        keys = open_index_keys(self._stores, configuration, self._opener)
        known, _ = Catalogue(self._stores, configuration, keys).readable()
        signed = []
        for each in known:
            if frames.signer_of(self._stores.read(each.point.object_name)) == writer.id:
                signed += [each.point.object_name, each.manifest.listing]
        return [names.ObjectName.parse(name).sha256 for name in signed]

    def _publish(
        self,
        *,
        recipients: list[RecipientRecord] | None = None,
        writers: list[WriterRecord] | None = None,
        retention: Mapping[str, int | float | str] | None = None,
        new_index_key: bool = False,
    ) -> None:
        self.configuration = self._root.publish(
            self.configuration,
            recipients=recipients,
            writers=writers,
            retention=retention,
            new_index_key=new_index_key,
        )


def _with(writers: list[WriterRecord], revoked: WriterRecord) -> list[WriterRecord]:
    return [revoked if each.public == revoked.public else each for each in writers]
