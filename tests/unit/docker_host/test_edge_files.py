"""The proxies' files: what they promise, and what a second `install` must not undo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coffer.errors import UsageError
from coffer.targets.docker_host import servers_file
from coffer.targets.docker_host.edge import EdgeSettings, StrictPath, install, render


def _settings(directory: Path) -> EdgeSettings:
    return EdgeSettings("creditai", directory, 8443, 8080, Path("c.pem"), Path("k.pem"))


def test_nothing_is_left_unfilled_and_no_file_is_missing() -> None:
    files = render(_settings(Path("/srv/coffer")))
    assert set(files) == {"haproxy/haproxy.cfg", "haproxy/active.map", "nginx/nginx.conf"}
    assert not [name for name, text in files.items() if "@{" in text]


def test_what_loses_requests_is_not_in_haproxys_file() -> None:
    lines = render(_settings(Path("/srv/coffer")))["haproxy/haproxy.cfg"].splitlines()
    assert [line.strip() for line in lines if "retry-on" in line] == ["retry-on conn-failure"]
    assert [line.split()[-1] for line in lines if "server s1" in line and "track" in line] == [
        "http_blue/s1",
        "http_green/s1",
    ]


def test_the_edge_has_its_headers_limits_and_versions_of_tls() -> None:
    text = render(replace(_settings(Path("/srv/coffer")), strict=(StrictPath("login", "POST", "/login", 5, 2),)))[
        "nginx/nginx.conf"
    ]
    for wanted in (
        "ssl_protocols TLSv1.2 TLSv1.3;",
        "add_header Strict-Transport-Security",
        "add_header Content-Security-Policy",
        "add_header X-Frame-Options DENY always;",
        "gzip on;",
        "zone=each_address:10m rate=100r/m;",
        '"POST /login" $binary_remote_addr;',
        "limit_req zone=login burst=2 nodelay;",
        "limit_req_status 429;",
        "return 308 https://",
    ):
        assert wanted in text
    assert "proxy_next_upstream error timeout;" in text
    assert "non_idempotent;" not in text


def test_a_second_install_keeps_what_a_release_wrote(tmp_path: Path) -> None:
    install(_settings(tmp_path))
    config, active = tmp_path / "haproxy" / "haproxy.cfg", tmp_path / "haproxy" / "active.map"
    active.write_text("active green\n")
    there = {"http_green": "172.18.0.3:3000", "ws_green": "172.18.0.3:3000"}
    config.write_text(servers_file.with_addresses(config.read_text(), there))
    install(replace(_settings(tmp_path), health="/other"))
    assert active.read_text() == "active green\n"
    assert "GET /other" in config.read_text()
    assert servers_file.addresses(config.read_text()) == {
        "http_blue": "127.0.0.1:9", "ws_blue": "127.0.0.1:9", **there
    }  # fmt: skip


def test_a_directory_too_long_for_a_socket_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="shorter path"):
        render(_settings(Path("/" + "d" * 90)))
