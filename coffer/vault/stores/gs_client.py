"""How a bucket of Google Cloud Storage is spoken to: its options, its client, what the client's errors mean."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import google.auth
import requests
import urllib3
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

from coffer.errors import CofferError, IntegrityError, NotAllowed, NotThere, StoreFull, Unreachable, UsageError
from coffer.vault.stores.retrying import Retries

CONNECT_SECONDS = 10.0
_BROKEN = (TransportError, requests.RequestException, urllib3.exceptions.HTTPError, OSError)
_ERRORS = (GoogleAPICallError, InvalidResponse, DataCorruption, GoogleAuthError, *_BROKEN)
# The client otherwise asks about the bucket from a thread of its own, for traces that nobody takes.
_NO_ASKING_ABOUT = "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"
_SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"  # setting retention needs no less


@dataclass(frozen=True)
class GsOptions:
    """How to reach a bucket.

    Attributes:
        endpoint: Address of the service; Google's without it. Only with one may there be no credentials.
        project: Project to bill; that of the credentials without it.
        timeout: Seconds without a byte after which an answer is given up.
        retries: How often what failed by chance is asked again.
        connections: Most connections kept at once: as many as threads that may call.
    """

    endpoint: str | None = None
    project: str | None = None
    timeout: float = 60.0
    retries: Retries = field(default_factory=Retries)
    connections: int = 32


class Session(AuthorizedSession):
    """The client's way to the network: counts requests and remembers the server's clock.

    Attributes:
        sent: HTTP requests so far by method, each attempt counted.
        date: By the last answer's Date.
    """

    def __init__(self, credentials: Credentials, connections: int) -> None:
        super().__init__(credentials)  # type: ignore[no-untyped-call]
        self.sent: Counter[str] = Counter()
        self.date: datetime | None = None
        self._mutex = threading.Lock()
        adapter = requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def send(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:  # noqa: ANN401 - passed on
        """Send a request."""
        with self._mutex:
            self.sent[request.method or ""] += 1
        answer = super().send(request, **more)
        if "Date" in answer.headers:
            self.date = parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)
        return answer


def make_client(options: GsOptions) -> tuple[storage.Client, Session]:
    """Return a client and its session.

    Raises:
        UsageError: There are no credentials, and no endpoint that may be spoken to without.
    """
    os.environ.setdefault(_NO_ASKING_ABOUT, "true")
    credentials, project = _credentials(options)
    session = Session(credentials, options.connections)
    where = {"api_endpoint": options.endpoint} if options.endpoint else None
    client = storage.Client(
        project=options.project or project or "none", credentials=credentials, client_options=where, _http=session
    )
    return client, session


def _credentials(options: GsOptions) -> tuple[Credentials, str | None]:
    if options.endpoint and "GOOGLE_APPLICATION_CREDENTIALS" not in os.environ:
        return AnonymousCredentials(), None  # type: ignore[no-untyped-call]
    try:
        credentials, project = google.auth.default(scopes=[_SCOPE])
    except DefaultCredentialsError as error:
        raise UsageError(
            "There are no Google credentials",
            detail=str(error),
            resolution="Set GOOGLE_APPLICATION_CREDENTIALS, or log in with gcloud",
        ) from error
    return credentials, project


def status_of(error: Exception) -> int:
    """Return the HTTP status of an answer, 0 where there was none."""
    if isinstance(error, GoogleAPICallError):
        return int(error.code or 0)
    if isinstance(error, InvalidResponse):
        return int(error.response.status_code)
    return 0


def deserves_retry(error: Exception) -> bool:
    """Tell what a second attempt may cure: 5xx, 408, 429, time-outs, resets, cut or damaged bodies; never an answer."""
    status = status_of(error)
    if status:
        return status in (408, 429) or status >= 500
    return isinstance(error, (DataCorruption, *_BROKEN))


def translate(error: Exception, where: str) -> CofferError:
    """Return the vault's word for an error of the client; absence, silence and refusal stay apart."""
    if isinstance(error, DataCorruption):
        return IntegrityError("An object is not what the store says it keeps", detail=f"{where}: {error}")
    status = status_of(error)
    if status == 404:
        return NotThere("There is no such object", detail=where)
    if status in (401, 403) or (isinstance(error, GoogleAuthError) and not isinstance(error, TransportError)):
        return NotAllowed("The store refuses access", detail=f"{where}: {_reason(error)}")
    if status == 507:
        return StoreFull("The store is full", detail=where, resolution="Make room there and run it again")
    word = "The store does not answer as it should" if status else "The store does not answer"
    return Unreachable(word, detail=f"{where}: {_reason(error)}")


def ask(options: GsOptions, where: str, act: Callable[[], Any]) -> Any:  # noqa: ANN401 - the client has no types
    """Do something with the client, again where a failure deserves it.

    Raises:
        CofferError: It failed.
    """
    try:
        return options.retries.run(act, deserves_retry)
    except _ERRORS as error:
        raise translate(error, where) from error


def _reason(error: Exception) -> str:
    return f"{status_of(error) or ''} {getattr(error, 'message', '') or error}".strip()[:300]
