"""A Docker host for tests: NGINX, HAProxy, a registry, images of a tiny service, all of them real."""

from __future__ import annotations

import datetime
import io
import os
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from coffer.release.images import ImageReference
from coffer.release.plan import ReleasePlan, RolloutPolicy
from coffer.release.planner import PlanFacts, find_drift, plan_release
from coffer.release.service import SecretReference, ServiceSpec
from coffer.stack import base_image
from coffer.stack.readiness import port_accepts
from coffer.stack.service import Service
from coffer.targets.docker_host.edge import EdgeSettings, install
from coffer.targets.docker_host.host import DockerHost
from coffer.targets.docker_host.settings import DockerHostSettings
from coffer.targets.executor import execute
from coffer.targets.protocol import StepOutcome
from tests.services.docker_engine import SOCKET, DockerEngine
from tests.services.registry import Registry
from tests.services.throwaway import ThrowAway, free_ports

TOPIC = "dockerhost"
QUICK = RolloutPolicy(
    healthy_times=3, smoke_requests=5, verify_requests=5, http_drain=5, websocket_drain=3, soak=0.5, proxy_within=10
)
_APP = Path(__file__).parent / "docker_host_app"


@dataclass
class World:
    """Everything around one service in one environment."""

    host: DockerHost
    spec: ServiceSpec
    images: dict[str, ImageReference]
    haproxy: ThrowAway
    nginx: ThrowAway
    edge_url: str
    http_url: str
    ca: Path
    released: int = field(default=0)
    now: str = ""
    next: str = ""

    def plan(self, image: str, policy: RolloutPolicy = QUICK) -> ReleasePlan:
        self.released += 1
        facts = PlanFacts(f"release-{self.released}", self.spec, self.images[image], "ann")
        return plan_release(self.host.observe(self.spec), facts, policy)

    def release(self, image: str, policy: RolloutPolicy = QUICK) -> tuple[StepOutcome, ...]:
        return self.carry_out(self.plan(image, policy))

    def carry_out(self, plan: ReleasePlan) -> tuple[StepOutcome, ...]:
        fence = self.host.acquire(plan.release, plan.within)
        try:
            return execute(plan, self.host, fence)
        finally:
            self.host.release(fence)

    def settle(self) -> None:
        """Make sure that a good version serves and that nothing is under way: `now`, and `next` is the other one."""
        observed = self.host.observe(self.spec)
        serving = observed.serving
        good = {str(self.images[name]): name for name in ("v1", "v2")}
        if serving and serving.healthy and serving.image in good and not find_drift(observed):
            self.now = good[serving.image]
        else:
            self.reset()
            self.now = "v1"
            self.release(self.now)
        self.next = "v2" if self.now == "v1" else "v1"

    def reset(self) -> None:
        """Back to a host on which nothing was ever released."""
        self.host.proxy.switch(None)
        for colour in self.host.proxy.colours():
            self.host.proxy.unpoint(colour)
            self.host.containers.remove(self.spec, colour)
        for name in ("record.json", "lease"):
            (self.host.settings.directory / name).unlink(missing_ok=True)


@contextmanager
def world() -> Iterator[World]:
    # A short name: a UNIX socket's address holds 108 bytes.
    with tempfile.TemporaryDirectory(prefix="coffer-") as name, DockerEngine(TOPIC) as engine:
        directory = Path(name)
        directory.chmod(0o711)
        engine.clean()
        network = engine.client.networks.create(f"{TOPIC}-test", driver="bridge", labels=engine.labels)
        https, http = free_ports(2)
        certificate, key = _certificate(directory)
        # As the stack does it: started by root, both proxies drop to accounts of their own.
        accounts = {"proxy_account": "haproxy", "edge_account": "www-data"} if os.geteuid() == 0 else {}
        install(EdgeSettings("tiny", directory, https, http, certificate, key, health="/health", **accounts))
        with (
            Registry(directory) as registry,
            ThrowAway(_haproxy(directory), directory / "haproxy.log") as haproxy,
            ThrowAway(_nginx(directory, https), directory / "nginx.log") as nginx,
        ):
            settings = DockerHostSettings(
                SOCKET, str(network.name), directory, directory / "haproxy" / "admin.sock",
                edge_url=f"https://localhost:{https}", edge_ca=str(certificate), labels=engine.labels,
            )  # fmt: skip
            host = DockerHost(settings, {"env:PASSWORD": "tellnobody"}.__getitem__)
            repository = f"{registry.address}/tiny"
            spec = ServiceSpec(
                "tiny", TOPIC, repository, 3000, health="/health", version="/version", smoke=("/",),
                drain="SIGUSR2", reopen="SIGHUP",
                cpus=0.5, memory="256m", secrets={"PASSWORD": SecretReference("env:PASSWORD", "0" * 64)},
            )  # fmt: skip
            images = _images(engine.client, directory, repository)
            yield World(host, spec, images, haproxy, nginx, settings.edge_url, f"http://localhost:{http}", certificate)


def _haproxy(directory: Path) -> Service:
    def ready() -> str | None:
        # The file alone says nothing: a killed HAProxy leaves its sockets behind.
        with socket.socket(socket.AF_UNIX) as connection:
            return str(error) if (error := connection.connect_ex(str(directory / "haproxy" / "http.sock"))) else None

    return Service("haproxy", ("haproxy", "-db", "-f", str(directory / "haproxy" / "haproxy.cfg")), ready, "")


def _nginx(directory: Path, port: int) -> Service:
    config = directory / "nginx" / "nginx.conf"
    argv = ("nginx", "-e", "stderr", "-p", str(directory / "nginx"), "-c", str(config))
    return Service("nginx", argv, port_accepts(port), "")


def _images(client: docker.DockerClient, cache: Path, repository: str) -> dict[str, ImageReference]:
    base = base_image.ensure_node_base(client, cache=base_image.default_cache(), report=print)
    faults = {"v1": "", "v2": "", "sick": "health", "crash": "crash", "boom": "traffic"}
    return {name: _image(client, base, repository, name, fault) for name, fault in faults.items()}


def _image(client: docker.DockerClient, base: str, repository: str, version: str, fault: str) -> ImageReference:
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for path in sorted(_APP.iterdir()):
            tar.add(path, path.name)
    context.seek(0)
    tag = f"{repository}:{version}"
    arguments = {"BASE": base, "VERSION": version, "FAULT": fault}
    client.images.build(fileobj=context, custom_context=True, tag=tag, buildargs=arguments, rm=True)
    for line in client.images.push(repository, tag=version, stream=True, decode=True):
        assert "error" not in line, line
        if digest := line.get("aux", {}).get("Digest"):
            return ImageReference(repository, digest)
    raise AssertionError("the registry gave no digest")


def _certificate(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = directory / "cert.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
