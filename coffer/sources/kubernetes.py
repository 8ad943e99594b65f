"""The objects of a Kubernetes namespace, Secrets included, as manifests that can be applied again."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import yaml

from coffer.errors import NotAllowed, OutsideSystemError, Unreachable, UsageError
from coffer.vault.capture import Entry, Fact, Kind, Parent, SourceSink

_PAGE = 500
_SECONDS = 60
# Kept by the cluster of itself, or a mere trace of what went on: applied again they would be in the way.
_LEFT_OUT = frozenset({"Event", "Endpoints", "EndpointSlice", "Lease", "ControllerRevision", "PodMetrics", "Binding"})
_OF_THE_CLUSTER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
Document = dict[str, Any]


class KubernetesSource:
    """All objects of one namespace that nothing else in it made, a file each: `KIND.GROUP/NAME.yaml`.

    Args:
        name: Name inside the point.
        context: Context of the kubeconfig; empty: the current one, or the pod's own account.
        namespace: The namespace.
        kubeconfig: The file; default: the usual places.
    """

    kind = "kubernetes"

    def __init__(self, name: str, context: str, namespace: str, *, kubeconfig: str | None = None) -> None:
        self.name = name
        self._context = context
        self._namespace = namespace
        self._kubeconfig = kubeconfig

    def capture(self, sink: SourceSink, kind: Kind, parent: Parent | None) -> Mapping[str, Fact]:
        """List every namespaced kind that the server knows, and push what people or releases declared.

        Raises:
            UsageError: There is no such context.
            Unreachable: No cluster answers.
            NotAllowed: An object may not be read: a point that lacks it would lie.
        """
        objects = asyncio.run(self._read())
        kinds: dict[str, Fact] = {}
        for path in sorted(objects):
            sink.add_file(Entry(path.encode(), mode=0o600), [_as_yaml(objects[path])])
            counted = kinds.get(objects[path]["kind"], 0)
            kinds[objects[path]["kind"]] = (counted if isinstance(counted, int) else 0) + 1
        from coffer.sources.configuration import images_in

        images: list[Fact] = [*sorted({image for each in objects.values() for image in images_in(each)})]
        done = kind if parent is not None else Kind.FULL
        return {"kind": done.value, "namespace": self._namespace, "objects": kinds, "images": images}

    async def _read(self) -> dict[str, Document]:
        from aiohttp import ClientError
        from kubernetes_asyncio.client.exceptions import ApiException

        where = f"{self._context or 'the current context'}/{self._namespace}"
        client = await self._client()
        try:
            return {_path(each): clean(each) async for each in self._objects(client) if is_declared(each)}
        except ApiException as error:
            if error.status in (401, 403):
                raise NotAllowed("The cluster does not let us read", detail=f"{where}: {_said(error)}") from error
            raise OutsideSystemError("The cluster refuses", detail=f"{where}: {error.status} {_said(error)}") from error
        except (ClientError, TimeoutError, OSError) as error:
            raise Unreachable(
                "No Kubernetes cluster answers", detail=f"{where}: {error}", resolution="Look at the kubeconfig"
            ) from error
        finally:
            await client.close()

    async def _client(self) -> Any:  # noqa: ANN401 - the client has no types
        from kubernetes_asyncio import config

        try:
            return await config.new_client_from_config(self._kubeconfig, self._context or None)
        except (config.ConfigException, OSError, TypeError) as error:
            raise UsageError(
                f"There is no Kubernetes context {self._context}",
                detail=str(error),
                resolution="Look at the kubeconfig",
            ) from error

    async def _objects(self, client: Any) -> AsyncIterator[Document]:  # noqa: ANN401
        async for prefix, resource in _kinds(client):
            cut: str | None = ""
            while cut is not None:
                query = [("limit", str(_PAGE)), *([("continue", cut)] if cut else [])]
                page = await _get(client, f"{prefix}/namespaces/{self._namespace}/{resource['name']}", query)
                group = prefix.removeprefix("/apis/").removeprefix("/api/")
                for item in page.get("items") or []:
                    yield {"apiVersion": group, "kind": resource["kind"], **item}
                cut = page.get("metadata", {}).get("continue") or None


def is_declared(document: Mapping[str, Any]) -> bool:
    """Tell whether nothing else in the cluster made an object: a Deployment makes its pods again by itself."""
    metadata = document.get("metadata") or {}
    if any(owner.get("controller") for owner in metadata.get("ownerReferences") or []):
        return False
    if document.get("kind") == "Secret" and document.get("type") == "kubernetes.io/service-account-token":
        return False
    return not (document.get("kind") == "ConfigMap" and metadata.get("name") == "kube-root-ca.crt")


def clean(document: Mapping[str, Any]) -> Document:
    """Return an object without what belongs to the cluster it came from."""
    kept = {key: value for key, value in document.items() if key != "status"}
    metadata = {key: value for key, value in (kept.get("metadata") or {}).items() if key not in _OF_THE_CLUSTER}
    noted = {key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key != _APPLIED}
    if noted:
        metadata["annotations"] = noted
    kept["metadata"] = metadata
    if document.get("kind") == "Service" and isinstance(kept.get("spec"), Mapping):
        # The address was given by that cluster; only "None" (headless) is a wish.
        own = {"clusterIP", "clusterIPs"} if kept["spec"].get("clusterIP") != "None" else set()
        kept["spec"] = {key: value for key, value in kept["spec"].items() if key not in own}
    return kept


async def _kinds(client: Any) -> AsyncIterator[tuple[str, Document]]:  # noqa: ANN401
    """Walk what can be listed in a namespace, each kind in the version that its group prefers."""
    groups = await _get(client, "/apis")
    prefixes = [
        "/api/v1",
        *(f"/apis/{each['preferredVersion']['groupVersion']}" for each in groups.get("groups") or []),
    ]
    seen: set[tuple[str, str]] = set()
    for prefix in prefixes:
        for resource in (await _get(client, prefix)).get("resources") or []:
            listed = resource.get("namespaced") and "list" in resource.get("verbs", ()) and "/" not in resource["name"]
            key = (prefix.rpartition("/")[0], resource["name"])
            if listed and resource["kind"] not in _LEFT_OUT and key not in seen:
                seen.add(key)
                yield prefix, resource


async def _get(client: Any, path: str, query: list[tuple[str, str]] | None = None) -> Document:  # noqa: ANN401
    answer = await client.call_api(
        path,
        "GET",
        query_params=query or [],
        header_params={"Accept": "application/json"},
        auth_settings=["BearerToken"],
        response_types_map={},
        _preload_content=False,
        _request_timeout=_SECONDS,
    )
    body = await answer.read()
    if answer.status >= 400:
        from kubernetes_asyncio.client.exceptions import ApiException

        raise ApiException(status=answer.status, reason=body[:500].decode("utf-8", "replace"))
    try:
        document = json.loads(body)
    except ValueError as error:
        raise OutsideSystemError("What answers is no Kubernetes cluster", detail=path) from error
    return document if isinstance(document, dict) else {}


def _path(document: Mapping[str, Any]) -> str:
    group = str(document["apiVersion"]).rpartition("/")[0]
    folder = f"{document['kind']}.{group}" if group else str(document["kind"])
    return f"{_UNSAFE.sub('_', folder)}/{_UNSAFE.sub('_', document['metadata']['name'])}.yaml"


def _as_yaml(document: Document) -> bytes:
    return yaml.safe_dump(document, sort_keys=True, allow_unicode=True).encode()


def _said(error: Any) -> str:  # noqa: ANN401
    try:
        return str(json.loads(error.reason or error.body)["message"])
    except (ValueError, TypeError, KeyError):
        return str(error.reason)
