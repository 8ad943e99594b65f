"""Runs all scanners beside each other. Whatever happens to one becomes its status, never an exception."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from coffer.errors import CofferError
from coffer.release.findings import ScanReport, ScanStatus
from coffer.scanners.scanner import NoData, NotInstalled, Scanner
from coffer.scanners.subject import ScanSubject

_GRACE = 2.0  # seconds for a scanner that stops by its own limit to say so itself


def scan_one(scanner: Scanner, subject: ScanSubject, *, timeout: float) -> ScanReport:
    """Run one scanner.

    Args:
        scanner: Which.
        subject: What to look at.
        timeout: Seconds it may take.

    Returns:
        Its report. The status is `completed` only if it ran to its end with data.
    """
    started = time.monotonic()

    def report(status: ScanStatus, reason: str) -> ScanReport:
        return ScanReport(
            scanner.name, tuple(scanner.covers), status, reason=reason, seconds=time.monotonic() - started
        )

    try:
        result = scanner.scan(subject, timeout=timeout)
    except NotInstalled as error:
        return report(ScanStatus.NOT_INSTALLED, str(error))
    except NoData as error:
        return report(ScanStatus.NO_DATA, str(error))
    except CofferError as error:
        late = time.monotonic() - started >= timeout
        return report(ScanStatus.TIMED_OUT if late else ScanStatus.CRASHED, str(error))
    except Exception as error:
        return report(ScanStatus.CRASHED, f"{type(error).__name__}: {error}")
    return ScanReport(
        scanner.name,
        tuple(scanner.covers),
        ScanStatus.COMPLETED,
        result.version,
        result.findings,
        result.data_from,
        seconds=time.monotonic() - started,
    )


def run_all(
    subject: ScanSubject,
    scanners: Sequence[Scanner],
    deadline: float,
    *,
    report: Callable[[ScanReport], None] = lambda _report: None,
) -> tuple[ScanReport, ...]:
    """Run all scanners beside each other.

    Args:
        subject: What to look at.
        scanners: Which.
        deadline: Seconds after which each counts as timed out.
        report: Told each report as it comes.

    Returns:
        One report a scanner, in their order.
    """
    reports: dict[int, ScanReport] = {}

    def work(index: int) -> None:
        reports[index] = scan_one(scanners[index], subject, timeout=deadline)
        report(reports[index])

    # Daemon threads, no pool: one that hangs must hold up neither the verdict nor the end of this process.
    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(len(scanners))]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, started + deadline + _GRACE - time.monotonic()))
    finished = dict(reports)
    return tuple(
        finished.get(index)
        or ScanReport(
            scanner.name,
            tuple(scanner.covers),
            ScanStatus.TIMED_OUT,
            reason=f"no answer within {deadline:g} s",
            seconds=time.monotonic() - started,
        )
        for index, scanner in enumerate(scanners)
    )
