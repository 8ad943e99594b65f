"""`make demo`: a real release and a real recovery, through a real Prefect server, on real parts."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import httpx

from coffer.errors import CofferError, StepFailed
from coffer.prefect_api import PrefectApi
from examples.demo import stack as stacks
from examples.demo.releases import Release, approve, expect, propose, run_to_end
from examples.demo.service import Client
from examples.demo.stack import Stack, coffer
from examples.demo.story import Story
from examples.demo.traffic import count_disputes, traffic

_LEAST_REQUESTS = 5_000
_WARM = 30


def main() -> int:
    """Run the demo; return its exit code."""
    story = Story()
    try:
        with story.chapter(
            "the local stack: Prefect, Docker, registry, two S3 regions, PostgreSQL, Redis, HAProxy, NGINX"
        ):
            stack = stacks.up()
        first_release(story, stack)
        second_release(story, stack)
        broken_release(story, stack)
        recovery(story, stack)
    except (CofferError, httpx.HTTPError) as error:
        story.say(f"[red]failed[/red]: {error}")
        return error.exit_code if isinstance(error, CofferError) else 1
    except KeyboardInterrupt:
        return 130
    story.look("Prefect's UI", stack.document["prefect_api_url"].removesuffix("/api"))
    story.look("CreditAI", f"{stack.production['edge_url']} (a local certificate authority signs it)")
    story.look("all of it, ended by", "make down")
    story.tell(stack.state / "demo.json")
    return 0


def first_release(story: Story, stack: Stack) -> None:
    """Release v1: built, scanned, tested, staged, approved, switched."""
    with story.chapter("v1: build, scan, test, stage, approve, switch"):
        done = expect(approve(propose("1.0.0", stack, story.say), stack), "COMPLETED")
        Client(stack).expect_version("1.0.0")
    story.prove("v1 released", f"run {done.run.name} in {done.seconds:.0f} s, approved by signature; {_switch(done)}")


def second_release(story: Story, stack: Stack) -> None:
    """Release v2 under load: nothing may fail."""
    with story.chapter("v2 under a steady load"), traffic(stack) as seen:
        done = expect(approve(propose("2.0.0", stack, story.say), stack), "COMPLETED")
        Client(stack).expect_version("2.0.0")
        seen.wait_for(_LEAST_REQUESTS)
    if seen.failed or seen.lost or seen.doubled:
        raise StepFailed("v2 lost something", detail=json.dumps(seen.result)[:800])
    story.prove(
        "v2 released under load",
        f"{seen.failed} failed of {seen.requests} requests (fresh and kept-alive, POSTs reconciled: "
        f"{seen.posts} accepted, {seen.lost} lost, {seen.doubled} doubled); p95 {seen.p95:.0f} ms",
    )
    story.prove("", f"{done.seconds:.0f} s from source to record; {_switch(done)}")


def broken_release(story: Story, stack: Stack) -> None:
    """Release v3, which breaks after the switch: it must go back by itself."""
    with story.chapter("v3, which breaks after the switch"):
        proposed = propose("3.0.0", stack, story.say, fault="errors-after-switch")
        with traffic(stack) as seen:
            seen.wait_for(_WARM)
            done = expect(approve(proposed, stack), "FAILED")
            Client(stack).expect_version("2.0.0")
    if seen.lost or seen.doubled:
        raise StepFailed("v3 lost a row", detail=json.dumps(seen.result)[:800])
    story.prove(
        "v3 rolled back by itself",
        f"v2 serves again; {seen.failed} of {seen.requests} requests failed while v3 was live "
        f"({seen.lost} rows lost, {seen.doubled} doubled); {_why(done)}",
    )


def recovery(story: Story, stack: Stack) -> None:
    """Write, take an incremental point, write twice more, and drill to the moment between the two."""
    client = Client(stack)
    with story.chapter("an incremental recovery point; then a write, a moment, and another write"):
        client.upload(b"a document that a row names by its hash")
        run_to_end("backup/production-on-demand", {"environment": "production", "kind": "incremental"}, story.say)
        client.dispute("written before the moment")
        right, moment = count_disputes(stack)
        client.dispute("written after the moment")
        _prove_points(story, stack)
    with story.chapter("a drill to that moment, in isolation, with the key from escrow"):
        run = run_to_end("drill/production-weekly", {"environment": "production", "time": moment}, story.say)
        report = _drill_report(stack, run.id)
    rows = next(count for name, count in report["rows"].items() if name.split(".")[-1] == "disputes")
    if rows != right:
        raise StepFailed("the drill brought back other rows", detail=f"{rows} disputes, {right} were committed by then")
    story.prove(
        "drill to a chosen moment", f"{rows} disputes of {right} committed by {moment[11:23]}, the next one absent"
    )
    story.prove("RTO measured", f"{report['rto_seconds']:.1f} s to the first correct answer (promised 15 min)")
    lost = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in report["rpo_seconds"].items())
    story.prove("RPO measured", f"{lost} (promised 4 h)")
    story.look("drill report", report["page"])


def _prove_points(story: Story, stack: Stack) -> None:
    """Show the newest full point, which the stack's first release took before it planned, and the incremental one."""
    store, writer = stack.document["stores"][0], stack.document["vault"]["writer_file"]
    points = json.loads(coffer("points", "--store", store, "--writer", writer, "--json"))
    regions = len(stack.document["stores"])
    for kind, proof in (("full", ""), ("incremental", ", read back")):
        newest = next(point for point in reversed(points) if point["kind"] == kind)
        size = f"{newest['size'] / 2**20:.1f} MiB, {newest['stored'] / 2**20:.1f} MiB stored"
        story.prove(f"{kind} recovery point", f"{newest['name']}: {size}, in {regions} regions{proof}")
    for point in points[-1:]:
        _await_read_back(point["name"])


def _await_read_back(point: str) -> None:
    """Wait for the run that the recovery point itself asked for."""
    api, deadline = PrefectApi.from_environment(), time.monotonic() + 180
    while time.monotonic() < deadline:
        for run in api.runs(flow="vault-verify", parameters={"environment": "production", "point": point}):
            if run.finished and not run.succeeded:
                raise StepFailed(f"the read-back of {point} failed", detail=run.message)
            if run.succeeded:
                return
        time.sleep(0.5)
    raise StepFailed(f"nobody read {point} back", resolution="See the worker of the pool coffer-escrow")


def _drill_report(stack: Stack, run_id: str) -> dict[str, object]:
    page = Path(stack.state, "reports", f"drill-production-{run_id}.html")
    report = json.loads(page.with_suffix(".json").read_text())
    return {**report, "page": str(page)}


def _why(done: Release) -> str:
    """Return what the flow said, without Prefect's words before it and the service's own log behind it."""
    said = done.run.message.rpartition("StepFailed: ")[2]
    return said.partition(": {")[0].partition(". Going back")[0][:200]


def _switch(done: Release) -> str:
    rows = PrefectApi.from_environment().artifacts(done.run.id, key="rollout-production")
    steps = json.loads(rows[0]["data"]) if isinstance(rows[0]["data"], str) else rows[0]["data"]
    switch = next((step for step in steps if str(step["step"]).startswith("switch to")), None)
    return f"the switch took {switch['seconds']} s" if switch else "no switch was needed"


if __name__ == "__main__":
    sys.exit(main())
