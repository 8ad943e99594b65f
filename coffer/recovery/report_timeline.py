"""The way back as a picture: a bar for each phase, the promise as a line, where the service first answered."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from coffer.recovery.report import Phase

WIDTH = 400  # a phone's, so that text stays as large as it is written
_ROW, _LEFT, _RIGHT, _FOOT, _PROMISE = 38, 2, 58, 32, 52
_FIRST_ANSWER = "first answer"


def timeline(phases: Sequence[Phase], rto: float | None, promise: float | None = None) -> str:
    """Return the phases as an inline SVG, one bar a row, and below them what of the promised time was needed.

    Args:
        phases: In order.
        rto: Seconds to the first correct answer; None without one.
        promise: Seconds promised: a line of its own scale, since a good recovery needs a small part of it.
    """
    whole = max((phase.start + phase.seconds for phase in phases), default=0) or 1
    scale = (WIDTH - _LEFT - _RIGHT) / whole
    bars = _ROW * len(phases)
    height = bars + _FOOT + (_PROMISE if promise is not None else 0)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(_words(phases, rto), quote=True)}">',
        *_grid(whole, scale, bars),
    ]
    answered = None if rto is None else _LEFT + (_answered(phases) or rto) * scale
    if answered is not None:
        parts.append(_line(answered, 0, bars + 4, "var(--good)"))
    for row, phase in enumerate(phases):
        parts += _bar(phase, row, scale)
    if answered is not None and rto is not None:
        anchor = "end" if answered > WIDTH * 0.55 else "start"
        place = f'x="{answered:.1f}" y="{bars + 18}" text-anchor="{anchor}"'
        parts.append(f'<text {place} style="fill:var(--good)">first correct answer: {short(rto)}</text>')
    if promise is not None:
        parts += _against_promise(rto, promise, bars + _FOOT)
    return "".join(parts) + "</svg>"


def _against_promise(rto: float | None, promise: float, top: int) -> list[str]:
    """Draw the recovery time on a scale on which the promise stands at three quarters, or further left if broken."""
    room = WIDTH - 2 * _LEFT
    scale = room / max(promise / 0.75, (rto or 0) * 1.1)
    line = _LEFT + promise * scale
    kept = rto is not None and rto <= promise
    said = "no correct answer" if rto is None else f"{short(rto)}, {rto / promise:.0%} of what was promised"
    drawn = [
        f'<text x="{_LEFT}" y="{top + 11}">recovery time: {said}</text>',
        f'<rect x="{_LEFT}" y="{top + 17}" width="{room}" height="13" rx="3" style="fill:var(--line)"/>',
    ]
    if rto is not None:
        colour = "var(--good)" if kept else "var(--bad)"
        place = f'x="{_LEFT}" y="{top + 17}" width="{max(rto * scale, 3):.1f}" height="13"'
        drawn.append(f'<rect {place} rx="3" style="fill:{colour}"/>')
    drawn.append(_line(line, top + 13, top + 34, "var(--bad)"))
    drawn.append(
        f'<text class="soft" x="{line:.1f}" y="{top + 47}" text-anchor="middle">promised {short(promise)}</text>'
    )
    return drawn


def _bar(phase: Phase, row: int, scale: float) -> list[str]:
    y = row * _ROW + 4
    x, width = _LEFT + phase.start * scale, max(phase.seconds * scale, 2)
    colour = "var(--bad)" if not phase.ok else "var(--bar)" if phase.counts else "var(--aside)"
    kind = "" if phase.counts else ' class="soft"'
    return [
        f'<text{kind} x="{_LEFT}" y="{y + 11}">{escape(phase.name)}</text>',
        f'<rect x="{x:.1f}" y="{y + 16}" width="{width:.1f}" height="13" rx="3" style="fill:{colour}"/>',
        f'<text class="soft" x="{x + width + 4:.1f}" y="{y + 27}">{phase.seconds:.1f} s</text>',
    ]


def _line(x: float, top: float, end: float, colour: str) -> str:
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{end}" style="stroke:{colour};stroke-width:2"/>'


def _grid(longest: float, scale: float, height: int) -> list[str]:
    step = next(size for size in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 1e9) if longest / size <= 6)
    places = [number * step for number in range(1, int(longest // step) + 1)]
    return [
        f'<line x1="{_LEFT + place * scale:.1f}" x2="{_LEFT + place * scale:.1f}" y1="0" y2="{height}" class="grid"/>'
        for place in places
    ]


def _answered(phases: Sequence[Phase]) -> float | None:
    """Return where the first answer stands in the picture, which also shows what does not count."""
    return next((phase.start + phase.seconds for phase in phases if phase.name == _FIRST_ANSWER), None)


def _words(phases: Sequence[Phase], rto: float | None) -> str:
    said = ", ".join(f"{phase.name} {phase.seconds:.1f} s" for phase in phases)
    return f"Timeline of the drill: {said}" + (f"; first correct answer after {rto:.1f} s" if rto is not None else "")


def short(seconds: float) -> str:
    """Return a duration in a few letters."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
