"""RDS brought back: inside its window, once a request; over to the other zone; snapshots gone with their points."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coffer.errors import NotAllowed, NotThere, StepFailed, UnsafeTarget, UsageError
from coffer.recovery.rds import NewInstance, Window, restorable_window, restore_snapshot, restore_to_moment
from coffer.recovery.rds_failover import fail_over
from coffer.recovery.rds_retention import find_unneeded, remove_snapshots, snapshots_of
from coffer.sources.rds.client import RdsRegion
from coffer.sources.rds.snapshots import copy_snapshot, make_snapshot
from tests.unit.rds.moto_cloud import AWAY, HOME, LOST, Cloud, refused

NEW = NewInstance("prod-back", multi_az=True, tags={"service": "creditai"})


def _now(cloud: Cloud) -> datetime:
    return restorable_window(cloud.regions[HOME], "prod").latest - timedelta(seconds=1)


def _back(cloud: Cloud, request: str = "r1") -> Any:
    return restore_to_moment(cloud.regions[HOME], "prod", _now(cloud), NEW, request)


def test_an_instance_comes_back_beside_the_old_one(cloud: Cloud) -> None:
    restored = _back(cloud)
    assert restored.host.startswith("prod-back.")
    (item,) = cloud.regions[HOME].client.client.describe_db_instances(DBInstanceIdentifier="prod-back")["DBInstances"]
    tags = {tag["Key"]: tag["Value"] for tag in item["TagList"]}
    assert tags == {"coffer:request": "r1", "service": "creditai"}


def test_the_same_request_goes_on_and_another_is_refused(cloud: Cloud) -> None:
    assert _back(cloud) == _back(cloud)
    assert cloud.calls(HOME, "restore_db_instance_to_point_in_time") == 1
    with pytest.raises(UnsafeTarget, match="prod-back"):
        _back(cloud, "r2")


def test_a_moment_outside_the_window_is_refused_with_the_window_named(cloud: Cloud) -> None:
    window = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 24, 12, tzinfo=UTC))
    window.check(window.latest)
    for moment in (window.latest + timedelta(seconds=1), datetime(2026, 10, 31, tzinfo=UTC)):
        with pytest.raises(UsageError, match=r"2026-11-01T00:00:00\+00:00 to 2026-11-24T12:00:00\+00:00"):
            window.check(moment)
    with pytest.raises(UsageError, match="offset"):
        window.check(datetime(2026, 11, 2))  # noqa: DTZ001 - that is what is refused
    with pytest.raises(UsageError, match="any moment from"):
        restore_to_moment(cloud.regions[HOME], "prod", datetime.now(UTC) + timedelta(days=1), NEW, "r1")
    assert cloud.calls(HOME, "restore_db_instance_to_point_in_time") == 0


def test_the_window_is_that_of_all_kept_backups(cloud: Cloud) -> None:
    first, last = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 24, tzinfo=UTC)
    kept = [
        {"RestoreWindow": {"EarliestTime": first + timedelta(days=3), "LatestTime": last}},
        {"RestoreWindow": {"EarliestTime": first, "LatestTime": first + timedelta(days=2)}},
        {"Status": "creating"},
    ]

    class _Kept:
        def describe_db_instance_automated_backups(self, **_: object) -> dict[str, Any]:
            return {"DBInstanceAutomatedBackups": kept}

    region = RdsRegion(HOME, _Kept(), patience=cloud.regions[HOME].patience)
    assert restorable_window(region, "deleted") == Window(first, last)


def test_an_instance_without_backups_has_no_window(cloud: Cloud) -> None:
    with pytest.raises(NotThere):
        restorable_window(cloud.regions[HOME], "gone")


@pytest.mark.parametrize(
    "operation",
    ["describe_db_instances", "describe_db_instance_automated_backups", "restore_db_instance_to_point_in_time"],
)
class TestEveryCall:
    def test_throttling_is_asked_again(self, cloud: Cloud, operation: str) -> None:
        moment = _now(cloud)
        cloud.fail(HOME, operation, refused("ThrottlingException"), refused("InternalFailure", 500))
        assert restore_to_moment(cloud.regions[HOME], "prod", moment, NEW, "r1").name == "prod-back"

    def test_a_lost_answer_restores_once(self, cloud: Cloud, operation: str) -> None:
        moment = _now(cloud)
        cloud.fail(HOME, operation, LOST)
        assert restore_to_moment(cloud.regions[HOME], "prod", moment, NEW, "r1").name == "prod-back"
        found = cloud.regions[HOME].client.client.describe_db_instances()["DBInstances"]
        assert sorted(each["DBInstanceIdentifier"] for each in found) == ["prod", "prod-back"]

    def test_a_refusal_is_told(self, cloud: Cloud, operation: str) -> None:
        moment = _now(cloud)
        cloud.fail(HOME, operation, refused("AccessDenied", 403))
        with pytest.raises(NotAllowed):
            restore_to_moment(cloud.regions[HOME], "prod", moment, NEW, "r1")


def test_a_restored_instance_is_waited_for(cloud: Cloud) -> None:
    _back(cloud)
    instance = cloud.backend(HOME).databases["prod-back"]
    instance.status = "creating"
    cloud.on_sleep = [lambda: None, lambda: setattr(instance, "status", "available")]
    cloud.now = 0
    _back(cloud)
    assert cloud.now == 30
    instance.status = "incompatible-network"
    with pytest.raises(StepFailed, match="incompatible-network"):
        _back(cloud)
    instance.status = "creating"
    with pytest.raises(StepFailed, match="longer than 600"):
        _back(cloud)


def test_the_copy_comes_back_in_the_other_region(cloud: Cloud) -> None:
    home, away = cloud.regions[HOME], cloud.regions[AWAY]
    snapshot = make_snapshot(home, "prod", "r1", {})
    copy = copy_snapshot(snapshot, away, "prod", "r1", {}, cloud.key)
    cloud.fail(AWAY, "restore_db_instance_from_db_snapshot", refused("InvalidDBSnapshotState"), LOST)
    restored = restore_snapshot(away, copy.id, NEW, "r2")
    assert f".{AWAY}." in restored.host
    assert restore_snapshot(away, copy.id, NEW, "r2") == restored
    with pytest.raises(NotThere):
        restore_snapshot(away, "no-such", NewInstance("another"), "r3")


def test_a_new_instance_is_like_the_old_one(cloud: Cloud) -> None:
    (item,) = cloud.regions[HOME].client.client.describe_db_instances(DBInstanceIdentifier="prod")["DBInstances"]
    like = NewInstance.like("next", item)
    assert (like.instance_class, like.multi_az, dict(like.tags)) == ("db.t4g.medium", True, {"service": "creditai"})
    assert like.security_groups == (item["VpcSecurityGroups"][0]["VpcSecurityGroupId"],)


def test_a_failover_is_done_when_the_zone_has_changed_and_the_database_answers(cloud: Cloud) -> None:
    instance = cloud.backend(HOME).databases["prod"]
    asked: list[tuple[str, int]] = []

    def answers(host: str, port: int) -> bool:
        asked.append((host, port))
        return len(asked) > 2

    cloud.on_sleep = [lambda: None, lambda: setattr(instance, "availability_zone", f"{HOME}b")]
    done = fail_over(cloud.regions[HOME], "prod", answers=answers)
    assert (done.before, done.after, done.seconds) == (f"{HOME}a", f"{HOME}b", 60)
    assert len(asked) == 3
    assert asked[0][1] == 5432
    again = fail_over(cloud.regions[HOME], "prod", away_from=f"{HOME}a", answers=lambda *_: True)
    assert again.seconds == 0
    assert cloud.calls(HOME, "reboot_db_instance") == 1


def test_a_failover_whose_answer_was_lost_reboots_no_second_time(cloud: Cloud) -> None:
    instance = cloud.backend(HOME).databases["prod"]
    busy = refused("InvalidDBInstanceState")
    cloud.fail(HOME, "reboot_db_instance", LOST, busy, busy)
    cloud.on_sleep = [lambda: setattr(instance, "availability_zone", f"{HOME}c")]
    assert fail_over(cloud.regions[HOME], "prod", answers=lambda *_: True).after == f"{HOME}c"
    assert cloud.calls(HOME, "reboot_db_instance") == 1


def test_a_failover_that_does_not_come_is_told(cloud: Cloud) -> None:
    with pytest.raises(StepFailed, match=f"available in {HOME}a"):
        fail_over(cloud.regions[HOME], "prod", answers=lambda *_: True)


def test_an_instance_without_standby_is_left_alone(cloud: Cloud) -> None:
    cloud.backend(HOME).databases["prod"].multi_az = False
    with pytest.raises(UsageError, match="no standby"):
        fail_over(cloud.regions[HOME], "prod")
    assert cloud.calls(HOME, "reboot_db_instance") == 0


def test_snapshots_go_when_no_point_names_them_and_only_ours(cloud: Cloud) -> None:
    home, away = cloud.regions[HOME], cloud.regions[AWAY]
    made = []
    for request in ("kept", "gone"):
        snapshot = make_snapshot(home, "prod", request, {})
        made.append((snapshot, copy_snapshot(snapshot, away, "prod", request, {}, cloud.key)))
    home.client.client.create_db_snapshot(DBSnapshotIdentifier="of-a-person", DBInstanceIdentifier="prod")
    facts = [{"snapshots": [{"region": each.region, "arn": each.arn} for each in made[0]]}, {"other": 1}]
    named = snapshots_of(facts)
    assert find_unneeded([home, away], "prod", named) == []  # too young
    later = datetime.now(UTC) + timedelta(days=2)
    unneeded = find_unneeded([home, away], "prod", named, now=later)
    assert sorted((each.region, each.id) for each in unneeded) == [(each.region, each.id) for each in made[1]]
    cloud.fail(HOME, "delete_db_snapshot", LOST)
    cloud.fail(AWAY, "delete_db_snapshot", refused("InvalidDBSnapshotState"))
    assert [each.region for each in remove_snapshots([home, away], unneeded)] == [HOME]
    assert [each.region for each in remove_snapshots([home, away], unneeded)] == [HOME, AWAY]
    left = {each["DBSnapshotIdentifier"] for each in home.client.client.describe_db_snapshots()["DBSnapshots"]}
    assert {"of-a-person", made[0][0].id} <= left
    assert made[1][0].id not in left
    cloud.fail(HOME, "delete_db_snapshot", refused("AccessDenied", 403))
    with pytest.raises(NotAllowed):
        remove_snapshots([home, away], unneeded)
