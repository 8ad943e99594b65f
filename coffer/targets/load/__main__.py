"""`python -m coffer.targets.load`: a load as a process of its own; SIGTERM ends it and it writes what it saw."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import click

from coffer.errors import CofferError
from coffer.targets.load import LoadRequest, LoadResult, Post, generate, load_profile, plain_profile
from coffer.targets.load.records import Records

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--url", required=True, help="Scheme, host and port.")
@click.option("--out", type=_FILE, required=True, help="Where the result is written, as JSON.")
@click.option("--profile", type=_FILE, default=None, help="What the load is made of (TOML); GET / if not given.")
@click.option("--rate", type=click.FloatRange(0.1, 5_000), default=100.0, help="Requests a second.")
@click.option("--duration", type=click.FloatRange(0.1, 3_600), default=60.0, help="Seconds at most.")
@click.option("--sources", type=click.IntRange(1, 20_000), default=1_024, help="Source addresses.")
@click.option("--ca", type=_FILE, default=None, help="Certificate authority to trust.")
@click.option("--websockets", type=click.IntRange(0, 1_000), default=0, help="WebSockets held open beside it.")
@click.option("--posts-log", type=_FILE, default=None, help="One JSON line for every request with an id.")
@click.option("--status", type=_FILE, default=None, help="Rewritten every second with the counts so far.")
def main(
    url: str,
    out: Path,
    profile: Path | None,
    rate: float,
    duration: float,
    sources: int,
    ca: Path | None,
    websockets: int,
    posts_log: Path | None,
    status: Path | None,
) -> None:
    """Send a load to a service of ours until its time is over or SIGTERM comes."""
    made_of = load_profile(profile) if profile else plain_profile("/")
    request = LoadRequest(url, made_of, rate, duration, sources, ca, websockets)
    with ExitStack() as stack:
        log = stack.enter_context(posts_log.open("w")) if posts_log else None
        result = asyncio.run(_run(request, log, status))
    _replace(out, json.dumps(result.as_dict()))


async def _run(request: LoadRequest, log: IO[str] | None, status: Path | None) -> LoadResult:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def post(sent: Post) -> None:
        if log is not None:
            log.write(json.dumps(sent.as_dict()) + "\n")

    def second(records: Records) -> None:
        if log is not None:
            log.flush()
        if status is not None:
            _replace(status, json.dumps({"requests": records.requests, "failed": records.failed}))

    return await generate(request, stop=stop, on_post=post, on_second=second)


def _replace(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CofferError as error:
        print(f"load: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
