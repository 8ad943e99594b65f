"""Environment files, manifests and the objects of a namespace: what is kept, what is left out, who is told what."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from coffer.errors import NotAllowed, Unreachable, UsageError
from coffer.recovery.restore_configuration import restore_configuration
from coffer.sources.configuration import describe_manifests, environment_files, manifests
from coffer.sources.kubernetes import KubernetesSource, clean, is_declared
from tests.unit.vault.making import World, read_tree

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {"password": "Z2VoZWlt"}}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "template": {"spec": {"containers": [{"image": "web@sha256:1"}], "initContainers": [{"image": "init:1"}]}}
    },
}


def test_manifests_come_back_as_they_were_and_say_what_ran(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "all.yaml").write_text(yaml.safe_dump_all([SECRET, DEPLOYMENT]))
    (folder / "list.json").write_text(json.dumps({"kind": "List", "items": [SECRET]}))
    (folder / "broken.yml").write_text("a: [")
    (folder / "README").write_text("text")
    world = World(tmp_path)
    point = world.back_up(manifests("manifests", folder))  # type: ignore[arg-type]
    facts = point.sources[0].facts
    assert facts["objects"] == {"Deployment": 1, "Secret": 2}
    assert facts["images"] == ["init:1", "web@sha256:1"]
    assert any("broken.yml" in str(note) for note in facts["notes"])  # type: ignore[union-attr]
    assert not any(b"Z2VoZWlt" in data for data in world.memory.objects.values())
    out = tmp_path / "out"
    restore_configuration(world.reader(), point, out, source="manifests")
    assert read_tree(out) == read_tree(folder)
    assert out.stat().st_mode & 0o777 == 0o700


def test_environment_files_one_or_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "environments"
    folder.mkdir()
    (folder / "production.toml").write_text("[service]")
    world = World(tmp_path)
    for number, path in enumerate((folder, folder / "production.toml")):
        point = world.back_up(environment_files("environment", path))  # type: ignore[arg-type]
        out = tmp_path / f"out{number}"
        restore_configuration(world.reader(), point, out, source="environment")
        assert read_tree(out) == {b"production.toml": b"[service]"}


@pytest.mark.parametrize(
    "text", ["", "- 1", "a: &a [*a]", "kind: [1]", "items: 3", "\x00", "!!python/object:os.system x"]
)
def test_a_file_that_is_no_manifest_does_no_harm(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert describe_manifests(tmp_path)["objects"] == {}


def test_an_object_is_kept_without_what_its_cluster_added() -> None:
    live = {
        **DEPLOYMENT,
        "status": {"replicas": 1},
        "metadata": {
            "name": "web",
            "uid": "1",
            "resourceVersion": "2",
            "managedFields": [{}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
    }
    assert clean(live) == DEPLOYMENT
    service = {"kind": "Service", "metadata": {"name": "s"}, "spec": {"clusterIP": "10.0.0.1", "ports": []}}
    assert clean(service)["spec"] == {"ports": []}
    headless = {"kind": "Service", "metadata": {"name": "s"}, "spec": {"clusterIP": "None"}}
    assert clean(headless)["spec"] == {"clusterIP": "None"}
    owned = {"kind": "Pod", "metadata": {"ownerReferences": [{"controller": True}]}}
    assert not is_declared(owned)
    assert not is_declared({"kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": {}})


class Cluster(BaseHTTPRequestHandler):
    """As much of the API as discovery and lists need; it gives two objects a page."""

    answers: ClassVar[dict[str, Any]] = {
        "/apis": {"groups": [{"name": "apps", "preferredVersion": {"groupVersion": "apps/v1"}}]},
        "/api/v1": {
            "resources": [
                {"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": ["list"]},
                {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["list"]},
                {"name": "pods/log", "kind": "Pod", "namespaced": True, "verbs": ["list"]},
                {"name": "events", "kind": "Event", "namespaced": True, "verbs": ["list"]},
                {"name": "nodes", "kind": "Node", "namespaced": False, "verbs": ["list"]},
                {"name": "bindings", "kind": "Binding", "namespaced": True, "verbs": ["create"]},
            ]
        },
        "/apis/apps/v1": {
            "resources": [{"name": "deployments", "kind": "Deployment", "namespaced": True, "verbs": ["get", "list"]}]
        },
        "/apis/apps/v1/namespaces/shop/deployments": {"items": [{**DEPLOYMENT, "status": {}}]},
        "/api/v1/namespaces/shop/pods": {
            "items": [{"metadata": {"name": "p", "ownerReferences": [{"controller": True}]}}]
        },
    }
    refused = ""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == self.refused:
            self._say(403, {"message": "secrets is forbidden"})
        elif path == "/api/v1/namespaces/shop/secrets":
            first = {"items": [{"metadata": {"name": "db"}, "data": SECRET["data"]}], "metadata": {"continue": "more"}}
            rest = {"items": [{"metadata": {"name": "other"}}], "metadata": {}}
            self._say(200, rest if "continue=more" in query else first)
        else:
            self._say(200 if path in self.answers else 404, self.answers.get(path, {"message": "no such thing"}))

    def _say(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield write_kubeconfig(tmp_path, server.server_address[1])
    server.shutdown()
    server.server_close()
    thread.join()


def write_kubeconfig(folder: Path, port: int) -> str:
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "u", "user": {"token": "of-the-user"}}],
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "here",
            }
        )
    )
    return str(path)


def test_a_namespace_comes_back_as_manifests(tmp_path: Path, kubeconfig: str) -> None:
    world = World(tmp_path)
    point = world.back_up(KubernetesSource("kubernetes", "here", "shop", kubeconfig=kubeconfig))  # type: ignore[arg-type]
    facts = point.sources[0].facts
    assert facts["objects"] == {"Deployment": 1, "Secret": 2}
    assert facts["images"] == ["init:1", "web@sha256:1"]
    out = tmp_path / "out"
    restore_configuration(world.reader(), point, out, source="kubernetes")
    files = {path: yaml.safe_load(content) for path, content in read_tree(out).items()}
    assert set(files) == {b"Secret/db.yaml", b"Secret/other.yaml", b"Deployment.apps/web.yaml"}
    assert files[b"Secret/db.yaml"] == SECRET
    assert files[b"Deployment.apps/web.yaml"] == DEPLOYMENT


def test_what_may_not_be_read_fails_the_point(tmp_path: Path, kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "refused", "/api/v1/namespaces/shop/secrets")
    world = World(tmp_path)
    with pytest.raises(NotAllowed, match="forbidden"):
        world.back_up(KubernetesSource("kubernetes", "here", "shop", kubeconfig=kubeconfig))  # type: ignore[arg-type]


def test_no_cluster_and_no_context_are_one_clear_error_each(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path, 9)
    world = World(tmp_path)
    with pytest.raises(Unreachable, match="here/shop"):
        world.back_up(KubernetesSource("kubernetes", "here", "shop", kubeconfig=path))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="elsewhere"):
        world.back_up(KubernetesSource("kubernetes", "elsewhere", "shop", kubeconfig=path))  # type: ignore[arg-type]
