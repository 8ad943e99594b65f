"""From an environment file to a prune of its vault."""

from __future__ import annotations

from pathlib import Path

import pytest

from coffer import environments
from coffer.environments.sizes import parse_size
from coffer.errors import EnvironmentFileError, UsageError
from coffer.keys import PrunerCredentials
from coffer.recovery.pruning import PRUNER_VARIABLE, VaultPrune, keep_of
from coffer.vault.capture import Kind
from coffer.vault.retention_policy import RetentionPolicy
from coffer.vault.stores.file import FileStore
from tests.unit.vault.making import Tree, World

FILE = """
[service]
name = "app"
image = "registry.example/app"
port = 80
[target]
kind = "docker-host"
hosts = ["env:HOST"]
[recovery]
vault = "file:{folder}/vault.toml"
sources = ["files:{folder}"]
"""


def environment(folder: Path, more: str = "") -> environments.Environment:
    (folder / "vault.toml").write_text(f"stores = ['file://{folder}/store']\nwriter_file = '{folder}/writer'\n")
    (folder / "trial.toml").write_text(FILE.format(folder=folder) + more)
    return environments.load(str(folder / "trial.toml"))


def test_what_the_file_says_is_kept(tmp_path: Path) -> None:
    more = "keep = { keep-last = 3, keep-days = 30, require-proof = 'drill' }\n"
    assert keep_of(environment(tmp_path, more)) == RetentionPolicy(keep_last=3, keep_days=30, require_proof="drill")
    assert keep_of(environment(tmp_path)) is None


def test_every_key_of_a_policy_is_one_of_the_file() -> None:
    from coffer.environments.model import Keep

    assert Keep().model_dump(by_alias=True) == RetentionPolicy().as_keys()


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ("keep = { keep-lots = 1 }", "keep-lots"),
        ("keep = { keep-last = 0 }", "keep-last"),
        ("keep = { require-proof = 'word' }", "require-proof"),
        ("read-back = { budget = 'much' }", "not a size"),
        ("read-back = { within = '7' }", "not a duration"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_place(tmp_path: Path, more: str, place: str) -> None:
    with pytest.raises(EnvironmentFileError, match=place):
        environment(tmp_path, more + "\n")


def test_read_backs_have_a_time_and_may_have_a_budget(tmp_path: Path) -> None:
    recovery = environment(tmp_path, "read-back = { within = '14 days', budget = '50 GiB' }\n").recovery
    assert recovery is not None
    assert (recovery.read_back.within.days, recovery.read_back.budget) == (14, 50 << 30)
    plain = environment(tmp_path).recovery
    assert plain is not None
    assert (plain.read_back.within.days, plain.read_back.budget) == (7, None)
    assert parse_size("1.5KiB") == 1536


def test_only_who_was_given_a_pruner_prunes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, [FileStore(tmp_path / "store")])
    for content in (b"1", b"2"):
        world.back_up(Tree({b"a": content}), kind=Kind.FULL)
    settings = environment(tmp_path, "keep = { keep-last = 1, require-proof = 'none' }\n")
    monkeypatch.delenv(PRUNER_VARIABLE, raising=False)
    with pytest.raises(UsageError, match=PRUNER_VARIABLE):
        VaultPrune.of(settings)
    PrunerCredentials(world.credentials.vault, world.credentials.root).save(tmp_path / "pruner")
    monkeypatch.setenv(PRUNER_VARIABLE, str(tmp_path / "pruner"))
    work = VaultPrune.of(settings)
    plan = work.plan()
    assert [each.keep for each in plan.verdicts] == [False, True]
    assert work.execute(plan).marked
    assert len(world.reader().points()) == 2
