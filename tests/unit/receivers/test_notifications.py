"""Which notifications of a registry are a new image."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffer.errors import UsageError
from coffer.receivers.notifications import IMAGE_TYPES, pushed_images

DIGEST = "sha256:" + "5f" * 32
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
# As Debian's docker-registry 2.8 sends it.
EVENT: dict[str, Any] = {
    "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7",
    "timestamp": "2026-11-24T10:00:00.123456789Z",
    "action": "push",
    "target": {
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "size": 708,
        "digest": DIGEST,
        "length": 708,
        "repository": "creditai",
        "url": "http://127.0.0.1:5000/v2/creditai/manifests/" + DIGEST,
        "tag": "main-7",
    },
    "request": {"id": "6df24a34", "addr": "127.0.0.1:42", "host": "127.0.0.1:5000", "method": "PUT", "useragent": "x"},
    "actor": {},
    "source": {"addr": "host:5000", "instanceID": "a53db899"},
}


def event(action: str = "push", **target: Any) -> dict[str, Any]:
    changed = copy.deepcopy(EVENT)
    changed["action"] = action
    changed["target"] |= target
    return changed


def read(*events: Any, registry: str = "") -> list[Any]:
    return pushed_images({"events": list(events)}, registry=registry, now=NOW)


def test_a_push_of_a_tagged_image() -> None:
    [image] = read(EVENT)
    assert image.image == f"127.0.0.1:5000/creditai@{DIGEST}"
    assert image.service == "creditai"
    assert image.occurred == datetime(2026, 11, 24, 10, 0, 0, 123456, UTC)
    assert image.payload == {"repository": "creditai", "tag": "main-7", "digest": DIGEST, "image": image.image}
    assert image.resource["prefect.resource.id"] == "coffer.service.creditai"
    assert image.resource["coffer.image.repository"] == "127.0.0.1:5000/creditai"
    assert image.resource["coffer.image.tag"] == "main-7"


@pytest.mark.parametrize("media_type", sorted(IMAGE_TYPES))
def test_manifests_and_indexes_count(media_type: str) -> None:
    assert len(read(event(mediaType=media_type))) == 1


@pytest.mark.parametrize(
    "other",
    [
        event("pull"),
        event("delete"),
        event("mount"),
        event(mediaType="application/octet-stream"),
        event(mediaType="application/vnd.docker.image.rootfs.diff.tar.gzip"),
        event(tag=""),
        event(tag="sha256-" + "5f" * 32),
        event(tag="sha256-" + "5f" * 32 + ".sig"),
        event(tag="build-1234"),
        event(tag="-x"),
        event(tag="{{ x }}"),
        event(digest="sha256:1"),
        event(digest="md5:" + "5f" * 16),
        event(repository="../etc"),
        event(repository=""),
        {**EVENT, "request": {}},
        {**EVENT, "request": None},
        {**EVENT, "target": None},
        {},
        None,
        "push",
    ],
)
def test_everything_else_is_passed_over(other: Any) -> None:
    assert read(other, EVENT) == read(EVENT)


def test_told_again_it_is_the_same_event() -> None:
    again = {**event(), "id": "another", "timestamp": "2026-11-24T11:00:00Z"}
    [first], [second] = read(EVENT), read(again)
    assert first.identity == second.identity
    assert len(read(EVENT, again, EVENT)) == 1


def test_another_digest_repository_or_tag_is_another_event() -> None:
    others = [event(digest="sha256:" + "00" * 32), event(repository="team/creditai"), event(tag="v2")]
    assert len({image.identity for image in read(EVENT, *others)}) == 4


def test_under_whatever_name_a_client_speaks_to_the_registry() -> None:
    local = copy.deepcopy(EVENT)
    local["request"]["host"] = "localhost:5000"
    [one], [other] = read(EVENT, registry="registry.example"), read(local, registry="registry.example")
    assert one.image == other.image == f"registry.example/creditai@{DIGEST}"
    assert one.identity == other.identity


def test_a_time_that_is_none_is_now() -> None:
    assert read({**EVENT, "timestamp": "yesterday"})[0].occurred == NOW


@pytest.mark.parametrize("envelope", [None, [], {}, {"events": None}, {"events": {}}, "events", 7])
def test_what_is_no_notification_is_said(envelope: object) -> None:
    with pytest.raises(UsageError, match="no registry notification"):
        pushed_images(envelope, now=NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*EVENT, *EVENT["target"], "host"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.lists(json_values, max_size=5))
def test_no_content_breaks_it(events: list[Any]) -> None:
    for image in pushed_images({"events": events}, now=NOW):
        assert image.digest
