"""The drill's report as one HTML file: no script, nothing loaded from elsewhere, readable on a phone."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from coffer.recovery.report import DrillReport
from coffer.recovery.report_timeline import timeline
from coffer.recovery.report_trend import charts

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
p.note{color:var(--soft);font-size:.85rem;margin:.2rem 0}
.damage{border:1px solid var(--bad);border-left-width:.4rem;border-radius:.5rem;padding:.6rem .8rem;margin:0 0 1rem}
.damage b{color:var(--bad)}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem}
.numbers div{border:1px solid var(--line);border-radius:.5rem;padding:.6rem .8rem}
.numbers b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}
.numbers span{color:var(--soft);font-size:.85rem}
ul{list-style:none;padding:0;margin:0}li{border-top:1px solid var(--line);padding:.5rem 0;overflow-wrap:anywhere}
li small{display:block;color:var(--soft)}table{border-collapse:collapse;width:100%}
td{border-top:1px solid var(--line);padding:.3rem 0}td+td{text-align:right;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;display:block}
svg .grid{stroke:var(--line);stroke-width:1}svg .promise{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:5 4}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem}
figure{margin:0;border:1px solid var(--line);border-radius:.5rem;padding:.5rem .6rem}
figcaption{color:var(--soft);font-size:.85rem}
svg text{font:13px system-ui,sans-serif;fill:var(--ink);
paint-order:stroke;stroke:var(--back);stroke-width:3px}svg .soft{fill:var(--soft)}
"""


def page(report: DrillReport) -> str:
    """Return the whole HTML document."""
    verdict = '<span class="good">passed</span>' if report.ok else '<span class="bad">failed</span>'
    parts = [
        f"<h1>Recovery drill of {escape(report.environment)}: {verdict}</h1>",
        f'<p class="sub">{escape(report.service)}, {report.started:%Y-%m-%d %H:%M:%S} UTC. Brought back to '
        f"{escape(_moment(report.target) or 'nothing')} from point {escape(report.point or 'none')}.</p>",
        _sabotage(report),
        _damage(report),
        _numbers(report),
        "<h2>The way</h2>",
        timeline(report.phases, report.rto_seconds, report.rto_promise),
        '<p class="note">Pale bars are checks that a recovery would not wait for.</p>',
        _trend(report),
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


def duration(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _damage(report: DrillReport) -> str:
    if not report.damage:
        return ""
    lines = "".join(f"<li>{escape(each)}</li>" for each in report.damage)
    return f'<div class="damage"><b>What is wrong</b><ul>{lines}</ul></div>'


def _moment(target: str) -> str:
    """Return a moment as people read it, and what is no moment as it is."""
    try:
        return f"{datetime.fromisoformat(target).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    except ValueError:
        return target


def _trend(report: DrillReport) -> str:
    drawn = charts(report.trend, report.rto_promise, report.rpo_promise)
    return f"<h2>The last drills</h2>{drawn}" if drawn else ""


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
