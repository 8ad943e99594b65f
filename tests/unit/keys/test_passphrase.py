from __future__ import annotations

from pathlib import Path

import pytest

from coffer.errors import UsageError
from coffer.keys.passphrase import Argon2Parameters, Passphrase


def test_it_is_argon2id() -> None:
    """The reference implementation's own test: Argon2id, version 1.3, 64 MiB, 4 passes, 1 lane."""
    stretched = Passphrase.of("password").stretch(b"somesalt", Argon2Parameters(64 << 10, 4, 1))
    assert stretched.hex() == "9025d48e68ef7395cca9079da4c4ec3affb3c8911fe4f86d1a2520856f63172c"


@pytest.mark.parametrize(
    "parameters",
    [
        Argon2Parameters(memory_kib=32 << 10),
        Argon2Parameters(passes=2),
        Argon2Parameters(memory_kib=1 << 30),
        Argon2Parameters(passes=1_000_000),
        Argon2Parameters(lanes=0),
    ],
)
def test_weak_parameters_and_traps_are_refused(parameters: Argon2Parameters) -> None:
    with pytest.raises(ValueError, match="Argon2id"):
        Passphrase.of("password").stretch(bytes(16), parameters)


def test_two_keyboards_give_the_same_bytes() -> None:
    assert Passphrase.of("cafe\u0301") == Passphrase.of("caf\u00e9")


def test_a_file_holds_one_line(tmp_path: Path) -> None:
    path = tmp_path / "phrase"
    path.touch(mode=0o600)
    for good in (b"a phrase of words", b"a phrase of words\n", b"a phrase of words\r\n"):
        path.write_bytes(good)
        assert Passphrase.load(path).text == "a phrase of words"
    for bad in (b"", b"\n", b"two\nlines\n", b"\xff\xfe"):
        path.write_bytes(bad)
        with pytest.raises(UsageError, match="passphrase file"):
            Passphrase.load(path)


def test_a_new_one_must_be_long_and_is_never_printed() -> None:
    with pytest.raises(UsageError, match="15 characters"):
        Passphrase.of("correct horse").check_new()
    Passphrase.of("correct horse battery").check_new()
    assert "horse" not in repr(Passphrase.of("correct horse battery"))
    with pytest.raises(UsageError, match="empty"):
        Passphrase.of("")
