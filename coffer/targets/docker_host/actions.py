"""What each step of a plan does on a Docker host."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatchmethod

from coffer.errors import ApprovalError, OutsideSystemError, StepFailed, UnsafeTarget
from coffer.release import steps
from coffer.release.images import ImageReference
from coffer.release.observed import Colour, Released
from coffer.release.service import ServiceSpec
from coffer.targets.docker_host import migrations, record
from coffer.targets.docker_host.containers import Containers, Instance
from coffer.targets.docker_host.lease import Lease
from coffer.targets.docker_host.probes import ask
from coffer.targets.docker_host.proxy import Proxy
from coffer.targets.docker_host.settings import DockerHostSettings
from coffer.targets.docker_host.waiting import wait_until
from coffer.targets.protocol import Effect, Fence

_HEALTH_EVERY = 0.2


@dataclass(frozen=True)
class Actions:
    """Acts for one service under one fence. Every change holds the host's lock; waiting only looks at it."""

    settings: DockerHostSettings
    containers: Containers
    proxy: Proxy
    lease: Lease
    service: ServiceSpec
    fence: Fence

    @singledispatchmethod
    def perform(self, step: steps.AnyStep) -> Effect:
        """Carry out one step."""
        raise OutsideSystemError(f"a Docker host knows no step {type(step).__name__}")

    @perform.register
    def _claim(self, step: steps.Claim) -> Effect:
        with self.lease.guard(self.fence):
            found = record.read(self.settings.directory).generation
            if found != step.generation:
                raise ApprovalError("the plan no longer stands", detail=f"generation {found}, not {step.generation}")
            record.change(
                self.settings.directory, generation=found + 1, claimed_by=step.release, journal=(), intent=None
            )
        return Effect()

    @perform.register
    def _fetch(self, step: steps.FetchImage) -> Effect:
        self.lease.check(self.fence)
        self.containers.fetch(ImageReference.parse(step.image))
        return Effect()

    @perform.register
    def _expand(self, step: steps.Expand) -> Effect:
        files = migrations.read(self.containers.client, ImageReference.parse(step.image), self.service.migrations)
        with self.lease.guard(self.fence):
            done = migrations.apply(self.settings.database, files, step.migrations)
        return Effect(f"applied {', '.join(done) or 'nothing: they were there'}", {"migrations": len(done)})

    @perform.register
    def _start(self, step: steps.Start) -> Effect:
        with self.lease.guard(self.fence):
            self._refuse_active(step.colour, "replace")
            self.proxy.unpoint(step.colour)
            # What an earlier instance showed of itself says nothing about this one.
            record.change(self.settings.directory, journal=())
            self.containers.start(self.service, step.colour, ImageReference.parse(step.image), step.release)
        return Effect()

    @perform.register
    def _resume(self, step: steps.Resume) -> Effect:
        with self.lease.guard(self.fence):
            self.containers.resume(self.service, step.colour)
        return Effect()

    @perform.register
    def _await_health(self, step: steps.AwaitHealth) -> Effect:
        row = 0

        def missing() -> str | None:
            nonlocal row
            self.lease.check(self.fence)
            address = self._alive(step.colour).address
            answer = ask(f"http://{address}:{self.service.port}{self.service.health}")
            row = row + 1 if answer.status == 200 else 0
            return None if row >= step.times else f"{row} of {step.times} in a row; last: {answer.status} {answer.body}"

        seconds = self._wait(step.colour, missing, step.within, f"{step.colour} to be healthy", _HEALTH_EVERY)
        self._note(step)
        return Effect(f"healthy after {seconds:.1f} s", {"healthy_after_s": round(seconds, 3)})

    @perform.register
    def _join(self, step: steps.JoinProxy) -> Effect:
        address = self._alive(step.colour).address
        with self.lease.guard(self.fence):
            if self.proxy.colours()[step.colour].address != f"{address}:{self.service.port}":
                self.proxy.point(step.colour, address, self.service.port)

        def missing() -> str | None:
            self.lease.check(self.fence)
            self._alive(step.colour)
            return None if self.proxy.colours()[step.colour].up else "its checks have not passed"

        seconds = self._wait(step.colour, missing, step.within, f"the proxy to see {step.colour} up")
        with self.lease.guard(self.fence):
            self.proxy.persist_servers()
        return Effect(f"up in the proxy after {seconds:.1f} s", {"up_after_s": round(seconds, 3)})

    @perform.register
    def _smoke(self, step: steps.SmokeTest) -> Effect:
        self.lease.check(self.fence)
        door = self.settings.alone_socket(step.colour)
        took = []
        for _ in range(step.requests):
            answer = ask(f"http://{self.service.name}{self.service.version}", socket=door)
            if answer.status != 200:
                raise StepFailed(
                    f"{step.colour} alone does not answer {self.service.version}",
                    detail=f"{answer.status} {answer.body}; {self.containers.log_tail(self.service, step.colour)}",
                )
            took.append(answer.seconds)
        for path in self.service.smoke:
            answer = ask(f"http://{self.service.name}{path}", socket=door)
            if answer.status in (0, 404) or answer.status >= 500:
                raise StepFailed(f"{step.colour} alone does not answer {path}", detail=f"{answer.status} {answer.body}")
        self._note(step)
        slowest = max(took, default=0.0) * 1000
        return Effect(f"{len(took)} requests, slowest {slowest:.0f} ms", {"slowest_ms": round(slowest, 1)})

    @perform.register
    def _intent(self, step: steps.WriteIntent) -> Effect:
        with self.lease.guard(self.fence):
            record.change(self.settings.directory, intent=step.colour)
        return Effect()

    @perform.register
    def _switch(self, step: steps.Switch) -> Effect:
        with self.lease.guard(self.fence):
            if step.colour is not None and not self.proxy.colours()[step.colour].up:
                raise StepFailed(f"the proxy does not see {step.colour} up; nothing was switched")
            begin = time.monotonic()
            self.proxy.switch(step.colour)
            seconds = time.monotonic() - begin
        return Effect(f"switched in {seconds * 1000:.1f} ms", {"switch_ms": round(seconds * 1000, 2)})

    @perform.register
    def _verify(self, step: steps.VerifySwitch) -> Effect:
        self.lease.check(self.fence)
        for number in range(step.requests):
            answer = ask(f"http://{self.service.name}{self.service.version}", socket=self.settings.front_socket)
            if answer.status != 200 or answer.colour != step.colour:
                raise StepFailed(
                    "the front door does not lead to the new version",
                    detail=f"request {number + 1}: {answer.status} from {answer.colour or 'nobody'}: {answer.body}",
                )
        detail = f"{step.requests} of {step.requests} answered by {step.colour}"
        if self.settings.edge_url:
            detail += self._through_the_edge()
        self._note(step)
        return Effect(detail)

    @perform.register
    def _drain(self, step: steps.Drain) -> Effect:
        self._refuse_active(step.colour, "drain")
        if step.signal:
            with self.lease.guard(self.fence):
                self.containers.signal(self.service, step.colour, step.signal)
        http = self._until_left(step.colour, "http_sessions", step.http_within)
        websocket = self._until_left(step.colour, "websocket_sessions", step.websocket_within)
        left = self.proxy.colours()[step.colour]
        self._note(step)
        return Effect(
            f"{left.http_sessions} requests and {left.websocket_sessions} WebSockets left",
            {
                "http_drain_s": round(http, 3),
                "websocket_drain_s": round(websocket, 3),
                "http_left": left.http_sessions,
                "websockets_left": left.websocket_sessions,
            },
        )

    @perform.register
    def _reopen(self, step: steps.Reopen) -> Effect:
        with self.lease.guard(self.fence):
            self.containers.signal(self.service, step.colour, step.signal)
        self._note(step)
        return Effect()

    @perform.register
    def _soak(self, step: steps.Soak) -> Effect:
        begin, first = time.monotonic(), self.proxy.counters(step.colour)
        old = self.proxy.counters(step.colour.other)
        allowed = step.error_rate + (old.server_errors / old.requests if old.requests else 0.0)
        restarts = self._alive(step.colour).restarts
        while True:
            self.lease.check(self.fence)
            now, instance = self.proxy.counters(step.colour), self._alive(step.colour)
            requests, errors = now.requests - first.requests, now.server_errors - first.server_errors
            if instance.restarts != restarts or not self.proxy.colours()[step.colour].up:
                raise self._broken(step.colour, f"{step.colour} went down under traffic")
            # One failed answer among few says nothing; three above the share do.
            if errors >= 3 and errors > allowed * requests:
                raise self._broken(step.colour, f"{errors} of {requests} requests failed on {step.colour}")
            if (left := step.seconds - (time.monotonic() - begin)) <= 0:
                break
            time.sleep(min(0.5, left))
        self._note(step)
        return Effect(f"{errors} of {requests} requests failed", {"requests": requests, "server_errors": errors})

    @perform.register
    def _stop(self, step: steps.Stop) -> Effect:
        with self.lease.guard(self.fence):
            self._refuse_active(step.colour, "stop")
            self.proxy.unpoint(step.colour)
            begin = time.monotonic()
            self.containers.stop(self.service, step.colour)
            seconds = time.monotonic() - begin
        instance = self.containers.find(self.service, step.colour)
        code = instance.exit_code if instance else 0
        return Effect(f"ended with {code} after {seconds:.1f} s", {"stop_s": round(seconds, 3), "exit_code": code})

    @perform.register
    def _record(self, step: steps.Record) -> Effect:
        with self.lease.guard(self.fence):
            known = record.read(self.settings.directory)
            record.change(
                self.settings.directory,
                current=Released(step.release, step.image, step.colour, step.generation),
                previous=known.current if known.current and known.current.release != step.release else known.previous,
                intent=None,
                journal=(),
            )
        return Effect()

    @perform.register
    def _remove(self, step: steps.Remove) -> Effect:
        with self.lease.guard(self.fence):
            self._refuse_active(step.colour, "remove")
            tail = self.containers.log_tail(self.service, step.colour, 5)
            self.containers.remove(self.service, step.colour)
        return Effect(f"its last words: {tail}" if tail else "")

    @perform.register
    def _leave(self, step: steps.LeaveProxy) -> Effect:
        with self.lease.guard(self.fence):
            self._refuse_active(step.colour, "take out")
            self.proxy.unpoint(step.colour)
        return Effect()

    @perform.register
    def _clear(self, step: steps.ClearIntent) -> Effect:
        with self.lease.guard(self.fence):
            record.change(self.settings.directory, intent=None, journal=())
        return Effect()

    def _alive(self, colour: Colour) -> Instance:
        instance = self.containers.find(self.service, colour)
        if instance is None or not instance.running:
            code = f"exit code {instance.exit_code}" if instance else "there is no container"
            raise self._broken(colour, f"{colour} does not run ({code})")
        return instance

    def _broken(self, colour: Colour, summary: str) -> StepFailed:
        return StepFailed(summary, detail=self.containers.log_tail(self.service, colour))

    def _wait(
        self, colour: Colour, missing: Callable[[], str | None], within: float, what: str, every: float = 0.1
    ) -> float:
        try:
            return wait_until(missing, within=within, what=what, every=every)
        except StepFailed as error:
            tail = self.containers.log_tail(self.service, colour)
            raise StepFailed(error.summary, detail=f"{error.detail}; its last words: {tail}") from error

    def _until_left(self, colour: Colour, sessions: str, within: float) -> float:
        """Wait until sessions are gone; what is left when the time is over is cut by the stop, as policy says."""
        begin = time.monotonic()
        while getattr(self.proxy.colours()[colour], sessions) and time.monotonic() - begin < within:
            self.lease.check(self.fence)
            time.sleep(0.1)
        return time.monotonic() - begin

    def _through_the_edge(self) -> str:
        # From an address of its own, so that the edge's limit counts it apart from people's.
        source = f"127.200.{self.fence.token // 250 % 250}.{self.fence.token % 250 + 1}"
        url = self.settings.edge_url.rstrip("/") + self.service.version
        answer = ask(url, source=source, ca=self.settings.edge_ca)
        if answer.status != 200:
            raise StepFailed("the edge does not lead to the service", detail=f"{url}: {answer.status} {answer.body}")
        return ", and the edge answers"

    def _refuse_active(self, colour: Colour, verb: str) -> None:
        if self.proxy.active() is colour:
            raise UnsafeTarget(f"will not {verb} {colour}: requests go to it")

    def _note(self, step: steps.Step) -> None:
        with self.lease.guard(self.fence):
            record.note_done(self.settings.directory, step.key)
