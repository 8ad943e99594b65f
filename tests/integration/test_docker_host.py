"""Releases on a real Docker host: what people see while they happen, and what is left when they go wrong."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from coffer.errors import ApprovalError, HeldByAnother, StepFailed, UnsafeTarget
from coffer.release import steps
from coffer.release.observed import Colour, ObservedService
from coffer.release.rollback import plan_rollback
from coffer.targets.docker_host import migrations
from coffer.targets.executor import execute
from tests.integration.docker_host_load import steady_load
from tests.integration.docker_host_world import QUICK, World, world

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def the_world() -> Iterator[World]:
    with world() as built:
        yield built


@pytest.fixture
def host(the_world: World) -> World:
    """The world with a good version serving, at whichever colour."""
    the_world.settle()
    return the_world


def _trust(host: World) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(host.ca))


def _get(host: World, path: str) -> httpx.Response:
    return httpx.get(host.edge_url + path, verify=_trust(host), trust_env=False)


def _active(host: World) -> Colour:
    active = _look(host).active
    assert active is not None
    return active


def _look(host: World) -> ObservedService:
    return host.host.observe(host.spec)


def _assert_settled(host: World, image: str) -> None:
    """One colour serves, the other does not run, nothing is under way, and people reach the right version."""
    observed = _look(host)
    assert observed.active is not None
    assert observed.active is observed.persisted
    assert observed.intent is None
    serving = observed.at(observed.active)
    assert serving.in_proxy
    assert serving.healthy
    assert serving.image == str(host.images[image])
    assert not observed.at(observed.active.other).running
    assert _get(host, "/version").text == image


def test_before_the_first_release_people_read_that_nothing_serves(the_world: World) -> None:
    answer = _get(the_world, "/")
    assert answer.status_code == 503
    assert "Not released yet" in answer.text
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert "x-coffer-colour" not in answer.headers


def test_a_release_under_load_loses_nothing_and_tells_websockets_to_come_again(host: World) -> None:
    with steady_load(host.edge_url, host.ca) as seen:
        switched = []
        plan = host.plan(host.next)
        fence = host.host.acquire(plan.release, plan.within)
        execute(plan, host.host, fence, lambda index, _: switched.append((plan.steps[index], time.monotonic())))
        host.host.release(fence)
    assert seen.failures == []
    assert seen.requests > 200
    flip = next(at for step, at in switched if isinstance(step, steps.Switch))
    assert seen.last_answer_of(host.now) <= flip
    assert seen.close_codes == [1012, 1012, 1012]
    assert seen.hellos == [host.now] * 3 + [host.next] * 3
    _assert_settled(host, host.next)


def test_an_instance_is_hardened_and_no_secret_is_in_plan_or_labels(host: World) -> None:
    plan = host.plan(host.next)
    host.carry_out(plan)
    container = host.host.containers.client.containers.get(host.host.containers.name(host.spec, plan.new))
    config = container.attrs["HostConfig"]
    assert config["ReadonlyRootfs"]
    assert config["CapDrop"] == ["ALL"]
    assert config["SecurityOpt"] == ["no-new-privileges:true"]
    assert config["PidsLimit"] == 256
    assert config["Memory"] == 256 * 2**20
    assert not config["PortBindings"]
    assert container.attrs["Config"]["User"] == "1001:1001"
    assert "tellnobody" not in plan.to_json() + json.dumps(container.labels)
    assert "PASSWORD=tellnobody" in container.attrs["Config"]["Env"]


def test_the_same_again_is_nothing_to_do(host: World) -> None:
    plan = host.plan(host.now)
    assert plan.steps == ()
    assert "already serves" in plan.nothing_to_do


@pytest.mark.parametrize(
    ("image", "story"), [("sick", "to be healthy took longer"), ("crash", "no configuration"), ("boom", "answer /")]
)
def test_a_bad_version_never_gets_traffic(host: World, image: str, story: str) -> None:
    active = _active(host)
    if image == "sick":
        host.spec = replace(host.spec, start_within=2.0)  # it never is; the others get their time
    try:
        with steady_load(host.edge_url, host.ca) as seen, pytest.raises(StepFailed) as failure:
            host.release(image)
    finally:
        host.spec = replace(host.spec, start_within=30.0)
    assert story in str(failure.value)
    assert f"{active} serves" in str(failure.value)
    assert "tellnobody" not in str(failure.value)
    assert seen.failures == []
    assert {version for _, version in seen.answers} == {host.now}
    assert not _look(host).at(active.other).exists
    _assert_settled(host, host.now)


def test_errors_under_traffic_switch_back_by_themselves(host: World) -> None:
    host.spec, asked = replace(host.spec, smoke=()), host.spec
    try:
        with steady_load(host.edge_url, host.ca) as seen, pytest.raises(StepFailed, match="requests failed on"):
            host.release("boom", replace(QUICK, soak=20))
    finally:
        host.spec = asked
    assert {failure[:8] for failure in seen.failures} == {"500 boom"}
    assert [version for _, version in seen.answers][-1] == host.now
    _assert_settled(host, host.now)


def test_a_restart_of_haproxy_comes_back_to_what_was_released(host: World) -> None:
    host.release(host.next)
    host.haproxy.kill()
    host.haproxy.start()
    assert _get(host, "/version").text == host.next
    _assert_settled(host, host.next)


@pytest.mark.parametrize("moment", ["Start", "between memory and disk", "Drain"])
def test_killed_at_any_moment_the_same_plan_goes_on_to_one_right_end(host: World, tmp_path: Path, moment: str) -> None:
    plan = host.plan(host.next)
    _release_and_die(host, tmp_path, plan.to_json(), moment)
    outcomes = host.carry_out(plan)
    assert outcomes[0].done_before
    _assert_settled(host, host.next)


def test_killed_after_the_switch_a_rollback_needs_nobodys_memory(host: World, tmp_path: Path) -> None:
    _release_and_die(host, tmp_path, host.plan(host.next).to_json(), "between memory and disk")
    back = plan_rollback(_look(host), host.spec, QUICK, release="back-1", requested_by="ann", reason="killed")
    fence = host.host.acquire(back.release, back.within, takeover=True)
    execute(back, host.host, fence)
    host.host.release(fence)
    _assert_settled(host, host.now)


def test_rollback_after_a_release_starts_the_kept_instance_again(host: World) -> None:
    host.release(host.next)
    back = plan_rollback(_look(host), host.spec, QUICK, release="back-2", requested_by="ann", reason="a complaint")
    with steady_load(host.edge_url, host.ca) as seen:
        host.carry_out(back)
    assert seen.failures == []
    _assert_settled(host, host.now)


def test_who_was_overtaken_changes_nothing_any_more(host: World) -> None:
    plan = host.plan(host.next)
    stale = host.host.acquire(plan.release, timedelta(minutes=5))
    with pytest.raises(HeldByAnother, match="is releasing here"):
        host.host.acquire("another", timedelta(minutes=5))
    winner = host.host.acquire("another", timedelta(minutes=5), takeover=True)
    before = _look(host)
    for step in (steps.Switch(colour=None), steps.Remove(colour=plan.new), plan.steps[0], plan.steps[2]):
        with pytest.raises(HeldByAnother, match="took over"):
            host.host.perform(host.spec, step, stale)
    assert _look(host) == before
    host.host.release(winner)


def test_a_plan_made_before_another_release_is_void(host: World) -> None:
    old_plan = host.plan("sick")
    host.release(host.next)
    with pytest.raises(ApprovalError, match="has acted since: generation"):
        host.carry_out(old_plan)
    _assert_settled(host, host.next)


def test_what_serves_is_neither_stopped_nor_removed(host: World) -> None:
    fence = host.host.acquire("careless", timedelta(minutes=5))
    active = _active(host)
    for step in (steps.Stop(colour=active), steps.Remove(colour=active), steps.LeaveProxy(colour=active)):
        with pytest.raises(UnsafeTarget):
            host.host.perform(host.spec, step, fence)
    with pytest.raises(StepFailed, match="does not see"):
        host.host.perform(host.spec, steps.Switch(colour=active.other), fence)
    host.host.release(fence)
    _assert_settled(host, host.now)


def test_an_instance_that_moved_is_found_again(host: World) -> None:
    host.host.proxy.point(_active(host), "127.0.0.1", 1)
    fence = host.host.acquire("heal", timedelta(minutes=1))
    changed = host.host.heal(host.spec, fence)
    host.host.release(fence)
    assert len(changed) == 1
    _assert_settled(host, host.now)


def test_migrations_are_read_from_the_image(host: World) -> None:
    files = migrations.read(host.host.containers.client, host.images["v1"], "/app")
    assert list(files) == ["0001_first.sql"]
    assert [one.version for one in migrations.describe(files)] == ["0001"]


def test_a_large_body_passes_the_edge_under_its_own_account(host: World) -> None:
    body = "x" * 2_000_000
    answer = httpx.post(host.edge_url + "/work", content=body, verify=_trust(host), trust_env=False)
    assert answer.text == f"{host.now} {body}"


def test_plain_http_is_sent_to_https(host: World) -> None:
    answer = httpx.get(host.http_url + "/page?x=1", trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (308, host.edge_url + "/page?x=1")


def test_the_edge_refuses_who_asks_too_often(host: World) -> None:
    transport = httpx.HTTPTransport(local_address="127.40.0.1", verify=_trust(host))
    with httpx.Client(transport=transport, trust_env=False) as client:
        codes = [client.get(host.edge_url + "/version").status_code for _ in range(80)]
    assert codes[0] == 200
    assert set(codes) == {200, 429}


def _release_and_die(host: World, folder: Path, plan: str, moment: str) -> None:
    order = folder / "order.json"
    settings = asdict(host.host.settings)
    order.write_text(json.dumps({"plan": plan, "settings": settings, "moment": moment}, default=str))
    process = subprocess.run(
        [sys.executable, "-m", "tests.integration.docker_host_killed", str(order)], capture_output=True, text=True
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
