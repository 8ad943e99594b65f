"""The two pipes: PostgreSQL's account gets its log, and never a false end."""

from __future__ import annotations

import getpass
import subprocess
from pathlib import Path

from coffer.errors import IntegrityError
from coffer.recovery.wal_server import WalServer
from coffer.sources.postgres.wal import Segment
from coffer.sources.postgres.wal_fetch import PastTheEnd, WalFetcher


class Fetcher(WalFetcher):
    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, name: str) -> bytes:
        self.asked.append(name)
        number = Segment.parse(name).number if len(name) == 24 else -1
        if number in (1, 2, 3):
            return name.encode()
        if number == 4:
            raise IntegrityError(f"WAL segment {name} is missing")
        if number == 5:
            raise RuntimeError("a bug")
        raise PastTheEnd(f"the log ends before {name}")


def ask(server: WalServer, name: str, place: Path) -> int:
    line = server.restore_command.replace("%f", name).replace("%p", str(place))
    return subprocess.run(["sh", "-c", line], timeout=20, capture_output=True).returncode


def test_answers(tmp_path: Path) -> None:
    fetcher = Fetcher()
    place = tmp_path / "RECOVERYXLOG"
    with WalServer(fetcher, tmp_path / "wal", getpass.getuser()) as server:
        for number in (1, 2, 3):
            name = Segment(1, number).name
            assert ask(server, name, place) == 0
            assert place.read_text() == name
        assert ask(server, Segment(1, 4).name, place) == 126
        assert ask(server, Segment(1, 5).name, place) == 126
        assert ask(server, Segment(1, 6).name, place) == 1
        assert ask(server, "00000002.history", place) == 1
        assert server.served == [Segment(1, number).name for number in (1, 2, 3)]
        assert Segment(1, 4).name in str(server.failures[0])
    assert fetcher.asked.count(Segment(1, 2).name) == 1, "fetched ahead, once"


def test_what_a_killed_client_left_is_read_over(tmp_path: Path) -> None:
    with WalServer(Fetcher(), tmp_path / "wal", getpass.getuser()) as server:
        with (tmp_path / "wal" / "requests").open("w") as requests:
            requests.write("00000009.history\n")
        place = tmp_path / "X"
        assert ask(server, Segment(1, 1).name, place) == 0
        assert place.read_text() == Segment(1, 1).name
