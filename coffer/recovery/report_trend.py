"""The last drills as small pictures: recovery time and loss, each against its promise."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from coffer.recovery.report_timeline import short
from coffer.recovery.trend import Drilled

LAST = 12
_WIDTH, _HEIGHT, _LEFT, _TOP, _FOOT = 190, 96, 4, 16, 16


def charts(drills: Sequence[Drilled], rto_promise: float, rpo_promise: float) -> str:
    """Return a chart of recovery times, and one for each part's loss; nothing before there are two drills.

    Args:
        drills: Oldest first, this one included.
        rto_promise: Seconds.
        rpo_promise: Seconds.
    """
    last = list(drills)[-LAST:]
    if len(last) < 2:
        return ""
    parts = sorted({part for drill in last for part in drill.rpo_seconds})
    drawn = [_chart("recovery time", [(drill, drill.rto_seconds) for drill in last], rto_promise)]
    drawn += [
        _chart(f"lost, {part}", [(each, each.rpo_seconds.get(part)) for each in last], rpo_promise) for part in parts
    ]
    return f'<div class="charts">{"".join(drawn)}</div>'


def table(drills: Sequence[Drilled]) -> list[tuple[str, str, str, str, str]]:
    """Return the last drills as rows, newest first: when, point, result, recovery time, losses."""
    return [
        (
            f"{drill.at:%Y-%m-%d %H:%M}",
            drill.point,
            "passed" if drill.ok else "FAILED",
            "none" if drill.rto_seconds is None else f"{drill.rto_seconds:.1f} s",
            ", ".join(f"{part} {seconds:.1f} s" for part, seconds in sorted(drill.rpo_seconds.items())) or "none",
        )
        for drill in reversed(list(drills)[-LAST:])
    ]


def _chart(name: str, values: Sequence[tuple[Drilled, float | None]], promise: float) -> str:
    highest = max((value for _, value in values if value is not None), default=0.0)
    top = highest * 1.25 or 1.0
    inside = promise <= top * 2
    top = max(top, promise * 1.1) if inside else top
    step = (_WIDTH - 2 * _LEFT) / len(values)
    drawn = [f'<figure><figcaption>{escape(name)}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" ']
    drawn.append(f'aria-label="{escape(_words(name, values), quote=True)}">')
    for number, (drill, value) in enumerate(values):
        x = _LEFT + number * step + step * 0.15
        colour = "var(--bar)" if drill.ok else "var(--bad)"
        height = 3.0 if value is None else max(2.0, value / top * (_HEIGHT - _TOP - _FOOT))
        y = _HEIGHT - _FOOT - height
        place = f'x="{x:.1f}" y="{y:.1f}" width="{step * 0.7:.1f}" height="{height:.1f}"'
        drawn.append(f'<rect {place} rx="2" style="fill:{colour}"/>')
    newest, first, last = values[-1][1], values[0][0].at, values[-1][0].at
    when = "%H:%M" if first.date() == last.date() else "%b %d"
    if inside:
        y = _HEIGHT - _FOOT - promise / top * (_HEIGHT - _TOP - _FOOT)
        drawn.append(f'<line x1="0" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" class="promise"/>')
    drawn.append(f'<text class="soft" x="{_LEFT}" y="{_HEIGHT - 3}">{first:{when}}</text>')
    drawn.append(f'<text class="soft" x="{_WIDTH - _LEFT}" y="{_HEIGHT - 3}" text-anchor="end">{last:{when}}</text>')
    said = "none" if newest is None else short(newest)
    drawn.append(f'<text x="{_WIDTH - _LEFT}" y="12" text-anchor="end">now {said}</text>')
    drawn.append(f'<text class="soft" x="{_LEFT}" y="12">promised {short(promise)}</text>')
    return "".join(drawn) + "</svg></figure>"


def _words(name: str, values: Sequence[tuple[Drilled, float | None]]) -> str:
    return f"{name} of the last {len(values)} drills: " + ", ".join(
        "none" if value is None else f"{value:.1f} s" for _, value in values
    )
