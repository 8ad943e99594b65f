"""What a recovery took and what it lost, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from typing import Any

from coffer.environments.model import Recovery
from coffer.recovery.recover_journal import Record
from coffer.recovery.recover_steps import Step
from coffer.recovery.report import Phase
from coffer.recovery.report_page import duration
from coffer.recovery.report_timeline import timeline

_SERVING = "move-traffic"
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--back:#fbfbfa;--good:#1a7f4b;--bad:#b3261e;
--bar:#3a6ea5;--aside:#9db4cc}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa5b3;--back:#14181d;--good:#4cc38a;--bad:#ff8a80;
--bar:#6fa3d8;--aside:#44586e}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);margin:0 auto;max-width:46rem;
padding:1rem}h1{font-size:1.4rem}td{padding:.2rem .8rem .2rem 0;vertical-align:top;overflow-wrap:anywhere}
svg{width:100%;height:auto}svg text{font:13px system-ui,sans-serif;fill:var(--ink)}svg .soft{fill:var(--soft)}
"""


@dataclass(frozen=True)
class RecoveryReport:
    """A recovery that ended.

    Attributes:
        recovery: Its id.
        environment: Where.
        service: What.
        point: Where the database began.
        target: The moment, for people.
        image: What runs.
        begun: When it was confirmed and began, ISO 8601.
        phases: The way, in order, as the attempts that ended well took.
        details: What each step saw, by what it does.
        rto_seconds: From the begin to people being sent to it, pauses after failures included, choosing added.
        rto_promise: Seconds promised.
        rpo_seconds: Age of the newest heartbeat at the begin, or at the moment asked for; None if there is none.
        rpo_promise: Seconds promised.
        set_aside: Where the old data is.
    """

    recovery: str
    environment: str
    service: str
    point: str
    target: str
    image: str
    begun: str
    phases: list[Phase]
    details: dict[str, str]
    rto_seconds: float
    rto_promise: float
    rpo_seconds: float | None
    rpo_promise: float
    set_aside: list[str]

    @classmethod
    def of(cls, record: Record, steps: Sequence[Step], promises: Recovery) -> RecoveryReport:
        """Read a journal whose steps are all done."""
        plan, begun = record.plan, datetime.fromisoformat(record.begun)
        serving = datetime.fromisoformat(record.done[_SERVING].at)
        return cls(
            recovery=plan.id,
            environment=plan.environment,
            service=plan.service,
            point=plan.point,
            target=str(plan.target),
            image=plan.image,
            begun=record.begun,
            phases=_phases(record, steps, begun),
            details={step.what: record.done[step.key].detail for step in steps},
            rto_seconds=round((serving - begun).total_seconds() + plan.choosing_seconds, 3),
            rto_promise=promises.rto.total_seconds(),
            rpo_seconds=_lost(record, begun),
            rpo_promise=promises.rpo.total_seconds(),
            set_aside=plan.replaced,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"ok": True, **asdict(self)}

    def lines(self) -> list[str]:
        """Return it for a terminal."""
        lines = [f"{self.service} in {self.environment} is back: {self.target}, from point {self.point}"]
        lines.append(f"  recovery time {self.rto_seconds:.1f} s (promised {self.rto_promise:.0f} s)")
        if self.rpo_seconds is not None:
            lines.append(f"  newest heartbeat {self.rpo_seconds:.1f} s before (promised {self.rpo_promise:.0f} s)")
        return [*lines, *(f"  old data kept: {each}" for each in self.set_aside)]

    def page(self) -> str:
        """Return it as one HTML page: no script, nothing loaded from elsewhere."""
        shown = [*self.lines()[1:], f"image {self.image}", f"recovery {self.recovery}, begun {self.begun[:19]} UTC"]
        rows = "".join(
            f"<tr><td>{escape(what)}</td><td>{escape(detail)}</td></tr>" for what, detail in self.details.items()
        )
        title = f"Recovery of {escape(self.service)} in {escape(self.environment)}"
        promised = "good" if self.rto_seconds <= self.rto_promise else "bad"
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}: "
            f'<span style="color:var(--{promised})">{duration(self.rto_seconds)}</span></h1>'
            f"<p>{'<br>'.join(escape(line.strip()) for line in shown)}</p>"
            f"{timeline(self.phases, self.rto_seconds)}<table>{rows}</table></body></html>\n"
        )


def _phases(record: Record, steps: Sequence[Step], begun: datetime) -> list[Phase]:
    choosing = record.plan.choosing_seconds
    phases = [Phase("open the vault, choose the point", 0.0, choosing)]
    for step in steps:
        done = record.done[step.key]
        ended = (datetime.fromisoformat(done.at) - begun).total_seconds() + choosing
        phases.append(Phase(step.what, max(ended - done.seconds, 0.0), done.seconds, step.counts))
    return phases


def _lost(record: Record, begun: datetime) -> float | None:
    beat = str(record.facts.get("heartbeat") or "")
    if not beat:
        return None
    moment = record.plan.target.time or begun
    return round((moment - datetime.fromisoformat(beat)).total_seconds(), 3)
