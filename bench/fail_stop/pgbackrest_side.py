"""pgBackRest as Debian packages it, encrypted, at its defaults, by the restore_command of its manual."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.fail_stop.bed import SmallServer
from bench.fail_stop.cases import Case
from bench.postgres.installing import program
from coffer.processes import run
from coffer.sources.postgres.programs import own, run_as


class PgBackRestSide:
    """pgBackRest with a repository of its own in a folder."""

    apart = False

    def __init__(self, folder: Path, server: SmallServer) -> None:
        self._program, self._folder, self._server = program("pgbackrest"), folder, server
        self.name = f"pgBackRest {run([self._program, 'version'], timeout=30).stdout.split()[-1]}"
        for part in ("spool", "locks", "logs", "repository"):
            (folder / part).mkdir()
        for case in (Case.NOTHING, Case.WRONG_KEY, Case.UNREACHABLE):
            self._write_config(case)
        own(folder, server.user)

    def back_up(self, server: SmallServer) -> None:
        """Take a full backup; its log is archived afterwards, with all other segments."""
        self._run("stanza-create")
        self._run("backup", "--type=full", "--start-fast", "--no-archive-check")

    def archive(self, collected: Path, names: Sequence[str]) -> None:
        """Push one by one."""
        for name in names:
            self._run("archive-push", str(collected / name))

    def restore(self, data: Path, command: str) -> None:
        """Restore the newest backup."""
        data.mkdir(mode=0o700)
        own(data, self._server.user)
        self._run("restore", f"--pg1-path={data}", f"--recovery-option=restore_command={command}")

    def line(self, case: Case) -> str:
        """Return the manual's restore_command."""
        user = self._server.user
        obedient = f"setpriv --reuid {user} --regid {user} --init-groups " if run_as(user) else ""
        words = f"--config={self._config(case)} --stanza=main"
        return f'{obedient}{self._program} {words} --pg1-path="$PWD" archive-get "%f" "%p"'

    def objects(self, segment: str) -> list[Path]:
        """Return the files of a segment."""
        return sorted((self._folder / "repository" / "archive" / "main").glob(f"*/{segment[:16]}/{segment}-*"))

    def _config(self, case: Case) -> Path:
        known = case if case in (Case.WRONG_KEY, Case.UNREACHABLE) else Case.NOTHING
        return self._folder / f"{known.name.lower()}.conf"

    def _write_config(self, case: Case) -> None:
        where = self._folder / ("elsewhere" if case is Case.UNREACHABLE else "repository")
        word = "another passphrase" if case is Case.WRONG_KEY else "a passphrase of a bench"
        self._config(case).write_text(
            f"[global]\nrepo1-path={where}\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass={word}\n"
            f"repo1-retention-full=9\nspool-path={self._folder}/spool\nlock-path={self._folder}/locks\n"
            f"log-path={self._folder}/logs\nlog-level-file=off\nlog-level-console=warn\n"
            f"[main]\npg1-path={self._server.data}\npg1-port={self._server.port}\n"
            f"pg1-socket-path={self._server.socket_dir}\npg1-user={self._server.superuser}\n"
        )

    def _run(self, *words: str) -> None:
        argv = [self._program, f"--config={self._config(Case.NOTHING)}", "--stanza=main", *words]
        run(argv, timeout=300, user=run_as(self._server.user), directory=self._folder)
