"""The drill's report as one HTML file: no script, nothing loaded from elsewhere, readable on a phone."""

from __future__ import annotations

from html import escape

from coffer.recovery.report import DrillReport, Phase

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d8dde4;--back:#fbfbfa;--good:#1a7f4b;--bad:#b3261e;
--bar:#3a6ea5;--aside:#9db4cc}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa5b3;--line:#333c47;--back:#14181d;--good:#4cc38a;
--bad:#ff8a80;--bar:#6fa3d8;--aside:#44586e}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);
margin:0 auto;max-width:46rem;padding:1rem}
h1{font-size:1.4rem;margin:.5rem 0 0}h2{font-size:1.05rem;margin:2rem 0 .5rem}
p.sub{color:var(--soft);margin:.2rem 0 1rem}
.good{color:var(--good)}.bad{color:var(--bad)}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem}
.numbers div{border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem}
.numbers b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}
.numbers span{color:var(--soft);font-size:.85rem}
ul{list-style:none;padding:0;margin:0}li{border-top:1px solid var(--line);padding:.5rem 0;overflow-wrap:anywhere}
li small{display:block;color:var(--soft)}table{border-collapse:collapse;width:100%}
td{border-top:1px solid var(--line);padding:.3rem 0}td+td{text-align:right;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;display:block}
svg text{font:13px system-ui,sans-serif;fill:var(--ink)}svg .soft{fill:var(--soft)}
"""
_WIDTH, _ROW, _LEFT, _RIGHT = 400, 40, 2, 56  # a phone's width, so that its text stays as large as it is written


def page(report: DrillReport) -> str:
    """Return the whole HTML document."""
    verdict = '<span class="good">passed</span>' if report.ok else '<span class="bad">failed</span>'
    parts = [
        f"<h1>Recovery drill of {escape(report.environment)}: {verdict}</h1>",
        f'<p class="sub">{escape(report.service)}, {report.started:%Y-%m-%d %H:%M:%S} UTC, brought back to '
        f"{escape(report.target or 'nothing')} from point {escape(report.point or 'none')}</p>",
        _sabotage(report),
        _numbers(report),
        "<h2>The way</h2>",
        timeline(report.phases, report.rto_seconds),
        "<h2>What was asked</h2>",
        _checks(report),
        _rows(report),
    ]
    title = f"Drill of {escape(report.environment)}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def timeline(phases: list[Phase], rto: float | None) -> str:
    """Return the phases as an inline SVG, one bar a row, with a line where the service first answered."""
    whole = max((phase.start + phase.seconds for phase in phases), default=0) or 1
    scale = (_WIDTH - _LEFT - _RIGHT) / whole
    height = _ROW * len(phases) + 34
    drawn = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Timeline of the drill">']
    for row, phase in enumerate(phases):
        y = row * _ROW + 4
        x, width = _LEFT + phase.start * scale, max(phase.seconds * scale, 2)
        colour = "var(--bad)" if not phase.ok else "var(--bar)" if phase.counts else "var(--aside)"
        drawn.append(f'<text x="{_LEFT}" y="{y + 12}">{escape(phase.name)}</text>')
        drawn.append(f'<rect x="{x:.1f}" y="{y + 18}" width="{width:.1f}" height="12" rx="3" style="fill:{colour}"/>')
        drawn.append(f'<text class="soft" x="{x + width + 4:.1f}" y="{y + 28}">{phase.seconds:.1f} s</text>')
    if rto is not None:
        x = _LEFT + rto * scale
        line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 22}"'
        drawn.append(f'{line} style="stroke:var(--good);stroke-width:2"/>')
        anchor = "end" if x > _WIDTH * 0.6 else "start"
        place = f'x="{x:.1f}" y="{height - 6}" text-anchor="{anchor}"'
        drawn.append(f"<text {place}>first correct answer: {rto:.1f} s</text>")
    return "".join(drawn) + "</svg>"


def duration(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _sabotage(report: DrillReport) -> str:
    if not report.sabotage:
        return ""
    return f'<p class="bad">Sabotaged on purpose: {escape(report.sabotage)}. A pass would be the failure.</p>'


def _numbers(report: DrillReport) -> str:
    boxes = [_box(report.rto_seconds, "recovery time", report.rto_promise)]
    boxes += [_box(seconds, f"lost, {part}", report.rpo_promise) for part, seconds in report.rpo_seconds.items()]
    boxes.append(f"<div><b>{report.restored_bytes / 1e6:.1f} MB</b><span>restored</span></div>")
    boxes.append(f"<div><b>{report.wal_files}</b><span>log files replayed</span></div>")
    return f'<div class="numbers">{"".join(boxes)}</div>'


def _box(seconds: float | None, name: str, promise: float) -> str:
    if seconds is None:
        return f'<div><b class="bad">none</b><span>{escape(name)}</span></div>'
    kind = "good" if seconds <= promise else "bad"
    return (
        f'<div><b class="{kind}">{duration(seconds)}</b><span>{escape(name)}, promised {duration(promise)}</span></div>'
    )


def _checks(report: DrillReport) -> str:
    lines = [
        f'<li><span class="{"good" if check.ok else "bad"}">{"✓" if check.ok else "✗"}</span> {escape(check.name)}'
        f"<small>{escape(check.detail)}</small></li>"
        for check in report.checks
    ]
    return f"<ul>{''.join(lines)}</ul>"


def _rows(report: DrillReport) -> str:
    if not report.rows:
        return ""
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{count:,}</td></tr>" for name, count in report.rows.items())
    return f"<h2>Rows</h2><table>{cells}</table>"
