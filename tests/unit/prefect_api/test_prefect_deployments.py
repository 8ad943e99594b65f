"""prefect.yaml is what the environment files say."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from coffer.commands.deployments import deployments
from coffer.environments import known, load
from coffer.errors import RefusedByPolicy
from coffer.prefect_deployments import ESCROW_POOL, POOL, document, render

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def written(**schedule: str) -> dict[str, dict[str, Any]]:
    """The deployments of production with another schedule, by FLOW/NAME."""
    production = load("production")
    changed = production.model_copy(update={"schedule": production.schedule.model_copy(update=schedule)})
    return {f"{each['tags'][1]}/{each['name']}": each for each in document([changed])["deployments"]}


def crons(deployment: dict[str, Any]) -> list[str]:
    return [schedule["cron"] for schedule in deployment["schedules"]]


def test_the_committed_file_is_what_the_command_would_write() -> None:
    assert (ROOT / "prefect.yaml").read_text() == render(load(name) for name in known())


def test_names_are_those_of_the_contract() -> None:
    names = {f"{each['tags'][1]}/{each['name']}" for each in document([load(name) for name in known()])["deployments"]}
    assert {
        "release/production",
        "release/staging",
        "release/on-image-push",
        "rollback/production",
        "backup/production-four-hourly",
        "backup/production-nightly",
        "backup/production-weekly",
        "backup/production-on-demand",
        "vault-verify/production",
        "vault-prune/production",
        "drill/production-weekly",
        "recover/production",
    } <= names
    assert not any(name.count("/") > 1 for name in names)


def test_every_deployment_has_its_flow_and_names_only_what_it_takes() -> None:
    for each in document([load("production")])["deployments"]:
        path, _, function = each["entrypoint"].partition(":")
        flow = next(
            node
            for node in ast.parse((ROOT / path).read_text()).body
            if isinstance(node, ast.FunctionDef) and node.name == function
        )
        [decorator] = [node for node in flow.decorator_list if isinstance(node, ast.Call)]
        names = [keyword.value for keyword in decorator.keywords if keyword.arg == "name"]
        assert [ast.literal_eval(name) for name in names] == [each["tags"][1]]
        given = set(each["parameters"]).union(*(trigger["parameters"] for trigger in each.get("triggers", [])))
        assert given <= {argument.arg for argument in flow.args.args}


def test_no_path_of_a_machine_is_in_the_file() -> None:
    text = (ROOT / "prefect.yaml").read_text()
    assert "{{ $COFFER_HOME }}" in text
    assert str(ROOT) not in text


def test_a_weekly_full_takes_the_place_of_that_nights_incremental() -> None:
    made = written(nightly="0 2 * * *", full="0 2 * * 0", incremental="0 */2 * * *")
    assert crons(made["backup/production-weekly"]) == ["0 2 * * 0"]
    assert crons(made["backup/production-nightly"]) == ["0 2 * * 1-6"]
    assert crons(made["backup/production-four-hourly"]) == ["0 0,4,6,8,10,12,14,16,18,20,22 * * *"]
    assert made["backup/production-weekly"]["parameters"]["kind"] == "full"


def test_what_has_no_schedule_is_not_deployed_but_can_be_asked_for() -> None:
    made = written(nightly="", full="", incremental="", drill="", verify="", prune="")
    assert "backup/production-nightly" not in made
    assert crons(made["backup/production-on-demand"]) == []
    assert crons(made["drill/production-weekly"]) == []
    assert crons(made["vault-prune/production"]) == []
    assert crons(written(prune="30 4 * * *")["vault-prune/production"]) == ["30 4 * * *"]


def test_only_the_escrow_pool_opens_points_and_removes_them() -> None:
    pools = {name: each["work_pool"]["name"] for name, each in written().items()}
    assert {name for name, pool in pools.items() if pool == ESCROW_POOL} == {
        "vault-verify/production",
        "vault-prune/production",
        "drill/production-weekly",
        "recover/production",
    }
    assert set(pools.values()) == {POOL, ESCROW_POOL}
    known_pools = yaml.safe_load((ROOT / "deployments/prefect/work-pools.yaml").read_text())["work_pools"]
    assert {pool["name"] for pool in known_pools} == set(pools.values())
    # The identity's place is said to the escrow worker alone, by whoever starts it; no pool hands it to flows.
    assert not [pool for pool in known_pools if "IDENTITY" in str(pool["base_job_template"]).upper()]


def test_one_run_at_a_time_and_the_next_waits() -> None:
    assert all(
        each["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"} for each in written().values()
    )


def test_a_push_starts_what_the_environment_names() -> None:
    [trigger] = written()["release/on-image-push"]["triggers"]
    production = load("production")
    assert trigger["match"] == {
        "prefect.resource.id": "coffer.service.creditai",
        "coffer.image.repository": production.service.image,
        "coffer.image.tag": list(production.release.on_push),
    }
    assert trigger["parameters"]["environment"] == "production"
    assert all("default(" in value for value in trigger["parameters"].values() if "event." in value)


def test_where_no_environment_names_a_tag_no_push_starts_anything() -> None:
    staging = load("staging")
    assert not staging.release.on_push
    assert "on-image-push" not in {each["name"] for each in document([staging])["deployments"]}


def test_the_command_writes_and_then_checks(tmp_path: Path) -> None:
    run = CliRunner().invoke
    missing = run(deployments, ["write", "--check", "--home", str(tmp_path)])
    assert isinstance(missing.exception, RefusedByPolicy)
    assert run(deployments, ["write", "--home", str(tmp_path)]).exit_code == 0
    assert run(deployments, ["write", "--check", "--home", str(tmp_path)]).exit_code == 0
    path = tmp_path / "prefect.yaml"
    path.write_text(path.read_text().replace("0 2 * * 0", "0 3 * * 0"))
    changed = run(deployments, ["write", "--check", "--home", str(tmp_path)])
    assert isinstance(changed.exception, RefusedByPolicy)
    assert "0 3 * * 0" in changed.exception.detail
    assert "0 3 * * 0" in path.read_text()
