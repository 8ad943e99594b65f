from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.errors import IntegrityError, NotThere, UsageError
from coffer.keys import signing
from coffer.ledger import Checkpoint, Entry, FolderStorage, Ledger, LedgerStorage, StoreStorage, key_file, verify
from coffer.ledger.verification import name_of
from coffer.vault.stores.file import FileStore

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = bytes(range(32))
STRANGER = bytes(range(32, 64))
OURS = signing.public_key(SECRET).hex()


@dataclass(frozen=True)
class _Found:
    name: str


class DictStore:
    """The smallest store that keeps a vault store's promise."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, name: str, data: bytes) -> None:
        if self.objects.setdefault(name, data) != data:
            raise IntegrityError("taken")

    def get(self, name: str) -> bytes:
        if name not in self.objects:
            raise NotThere("absent")
        return self.objects[name]

    def list(self, prefix: str = "") -> Iterator[_Found]:
        return (_Found(name) for name in list(self.objects) if name.startswith(prefix))


STORAGES: dict[str, Callable[[Path], LedgerStorage]] = {
    "folder": lambda path: FolderStorage(path / "ledger"),
    "objects": lambda _path: StoreStorage(DictStore()),
    "vault store": lambda path: StoreStorage(FileStore(path)),
}


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerStorage:
    return STORAGES[request.param](tmp_path)


def filled(storage: LedgerStorage, count: int = 5) -> Ledger:
    ledger = Ledger.open(storage, SECRET)
    for number in range(count):
        ledger.append("release.switched", "creditai", {"n": number}, AT + timedelta(minutes=number))
    return ledger


# What a storage promises


def test_a_name_is_written_once_and_the_same_bytes_again_are_done(storage: LedgerStorage) -> None:
    assert storage.list() == []
    assert storage.put_new("b", b"1") is True
    assert storage.put_new("b", b"1") is True
    assert storage.put_new("b", b"2") is False
    assert storage.put_new("a", b"") is True
    assert storage.get("b") == b"1"
    assert storage.list() == ["a", "b"]
    with pytest.raises(NotThere):
        storage.get("c")


def test_of_many_writers_of_one_name_one_wins(storage: LedgerStorage) -> None:
    wins: list[bool] = []
    threads = [
        threading.Thread(target=lambda data: wins.append(storage.put_new("x", data)), args=(str(n).encode(),))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [False] * 7 + [True]


# What a ledger promises


def test_entries_chain_from_the_first_and_read_back(storage: LedgerStorage) -> None:
    ledger = filled(storage)
    again = list(Ledger.open(storage, SECRET).entries())
    assert [entry.number for entry in again] == [1, 2, 3, 4, 5]
    assert again == list(ledger.entries())
    assert again[2].detail == {"n": 2}
    assert ledger.verify().whole
    assert ledger.verify().entries == 5


def test_two_writers_share_one_chain(storage: LedgerStorage) -> None:
    ledgers = [Ledger.open(storage, SECRET) for _ in range(4)]

    def write(ledger: Ledger) -> None:
        for number in range(10):
            ledger.append("act", f"{id(ledger)}", {"n": number}, AT)

    threads = [threading.Thread(target=write, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = list(Ledger.open(storage, SECRET).entries())
    assert len(seen) == 40
    assert verify(storage, [OURS]).whole
    for ledger in ledgers:
        assert [e.detail["n"] for e in seen if e.subject == f"{id(ledger)}"] == list(range(10))


def test_a_retry_finds_its_entry(storage: LedgerStorage) -> None:
    ledger = Ledger.open(storage, SECRET)
    first = ledger.append("release.switched", "creditai", {}, AT, request="r-1")
    ledger.append("release.soaked", "creditai", {}, AT, request="r-1")
    later = Ledger.open(storage, SECRET).append(
        "release.switched", "creditai", {}, AT + timedelta(hours=1), request="r-1"
    )
    assert later == first
    assert len(list(ledger.entries())) == 2


def test_nothing_but_json_with_a_zoned_time_gets_in(storage: LedgerStorage) -> None:
    ledger = Ledger.open(storage, SECRET)
    with pytest.raises(UsageError, match="JSON"):
        ledger.append("act", "s", {"bad": object()}, AT)
    with pytest.raises(UsageError, match="JSON"):
        ledger.append("act", "s", {"bad": float("nan")}, AT)
    with pytest.raises(UsageError, match="zone"):
        ledger.append("act", "s", {}, datetime(2026, 3, 1))  # noqa: DTZ001
    assert storage.list() == []


# What verification finds; each on a copy as an auditor has it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    filled(FolderStorage(tmp_path))
    return tmp_path


def problems(folder: Path, checkpoint: Checkpoint | None = None) -> str:
    return " | ".join(verify(FolderStorage(folder), [OURS], checkpoint).problems)


def test_a_changed_entry_is_found(folder: Path) -> None:
    path = folder / name_of(3)
    path.write_bytes(path.read_bytes().replace(b'"n":2', b'"n":9'))
    assert "entry 3 was changed" in problems(folder)
    with pytest.raises(IntegrityError, match="entry 3"):
        Ledger.open(FolderStorage(folder), SECRET)


def test_every_flipped_byte_is_found(folder: Path) -> None:
    path = folder / name_of(2)
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert problems(folder), f"byte {position} may be changed unseen"


def test_a_dropped_entry_is_found_and_nothing_is_appended_into_the_hole(folder: Path) -> None:
    (folder / name_of(3)).unlink()
    assert "entry 3 was dropped" in problems(folder)
    with pytest.raises(IntegrityError, match="entry 3 was dropped"):
        Ledger.open(FolderStorage(folder), SECRET)


def test_a_dropped_entry_is_found_even_when_the_rest_is_renumbered(folder: Path) -> None:
    (folder / name_of(4)).replace(folder / name_of(3))
    (folder / name_of(5)).replace(folder / name_of(4))
    assert "entry 3 was moved here from 4" in problems(folder)


def test_an_entry_signed_anew_without_its_neighbours_is_found(folder: Path) -> None:
    path = folder / name_of(3)
    path.write_bytes(replace(Entry.decode(path.read_bytes()), detail={"n": 9}).signed(SECRET).encode())
    assert "entry 4 does not follow the entry before it" in problems(folder)


def test_an_inserted_entry_of_a_stranger_is_found(folder: Path) -> None:
    Ledger.open(FolderStorage(folder), STRANGER, trusted=[OURS]).append("act", "s", {}, AT)
    assert "entry 6 was inserted by a key that may not write" in problems(folder)
    assert verify(FolderStorage(folder), [OURS, signing.public_key(STRANGER).hex()]).whole


def test_exchanged_entries_are_found(folder: Path) -> None:
    third, fourth = folder / name_of(3), folder / name_of(4)
    third.rename(folder / "aside")
    fourth.rename(third)
    (folder / "aside").rename(fourth)
    assert "entry 3 was moved here from 4" in problems(folder)


def test_a_file_that_is_no_entry_is_found(folder: Path) -> None:
    (folder / "000000000006.json.bak").write_text("{}")
    assert "'000000000006.json.bak' is no entry" in problems(folder)


def test_a_cut_off_tail_is_found_against_a_checkpoint_only(folder: Path) -> None:
    checkpoint = Ledger.open(FolderStorage(folder), SECRET).checkpoint(AT)
    assert problems(folder, checkpoint) == ""
    (folder / name_of(4)).unlink()
    (folder / name_of(5)).unlink()
    assert problems(folder) == ""
    assert "entries 4 to 5 were gone" in problems(folder, checkpoint)


def test_a_tail_that_was_written_anew_is_found_against_a_checkpoint(folder: Path) -> None:
    checkpoint = Ledger.open(FolderStorage(folder), SECRET).checkpoint(AT)
    (folder / name_of(5)).unlink()
    Ledger.open(FolderStorage(folder), SECRET).append("another", "history", {}, AT)
    assert problems(folder) == ""
    assert "entry 5 is not the one" in problems(folder, checkpoint)


def test_a_forged_checkpoint_does_not_count(folder: Path) -> None:
    checkpoint = Ledger.open(FolderStorage(folder), SECRET).checkpoint(AT)
    assert Checkpoint.decode(checkpoint.encode()) == checkpoint
    assert "not signed" in problems(folder, replace(checkpoint, number=3))
    assert "not signed" in problems(folder, Checkpoint.sign(STRANGER, 5, checkpoint.hash, AT))
    with pytest.raises(IntegrityError):
        Checkpoint.decode(b"[]")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), st.text(), st.text(), st.datetimes(timezones=st.just(UTC)))
def test_any_entry_reads_back_as_it_was_signed(detail: dict[str, object], act: str, subject: str, at: datetime) -> None:
    try:
        entry = Entry(1, "0" * 64, at, act, subject, detail).signed(SECRET)
        data = entry.encode()
    except UsageError:
        return  # lone surrogates are no text
    back = Entry.decode(data)
    assert back.encode() == data
    assert back.is_genuine()
    assert json.loads(data)["detail"] == detail


def test_the_key_file_is_made_once_private_and_its_public_half_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "ledger.key"
    secret = key_file.load_or_create(path)
    assert key_file.load_or_create(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert key_file.load_public(key_file.public_file(path)) == signing.public_key(secret).hex()
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []
