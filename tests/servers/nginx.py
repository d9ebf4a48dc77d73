"""A private nginx with the project's own ``etc/nginx.conf``: free ports, a throw-away certificate, a directory
of its own, and nothing else changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers.process import ServerProcess, answers, free_port, program, wait_until

SERVER_NAME = "feed.example.org"
CONFIGURATION = Path(__file__).resolve().parents[2] / "etc" / "nginx.conf"

_MAIN = """\
{user}daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/afeed.conf;
}}
"""


def self_signed(name: str) -> tuple[bytes, bytes]:
    """A certificate for ``name``, valid for a day, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def replace_once(text: str, old: str, new: str) -> str:
    """``text`` with its only ``old`` replaced; an :class:`AssertionError` when there is none or a second."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {CONFIGURATION.name}"
    return text.replace(old, new)


class NginxServer(ServerProcess):
    """nginx in front of the afeed nodes that listen on ``node_ports`` of 127.0.0.1.

    ``port`` answers HTTPS for :data:`SERVER_NAME`, ``plain_port`` redirects to it.
    """

    def __init__(self, node_ports: Sequence[int]) -> None:
        super().__init__("nginx")
        self.port = free_port()
        self.plain_port = free_port()
        certificate, key = self_signed(SERVER_NAME)
        (self.directory / "fullchain.pem").write_bytes(certificate)
        (self.directory / "privkey.pem").write_bytes(key)
        (self.directory / "afeed.conf").write_text(self._configuration(node_ports), "utf-8")
        # The workers of an nginx that root starts would be another user, who may not enter the directory.
        user = "user root;\n" if os.geteuid() == 0 else ""
        (self.directory / "main.conf").write_text(_MAIN.format(directory=self.directory, user=user), "utf-8")

    def _configuration(self, node_ports: Sequence[int]) -> str:
        text = CONFIGURATION.read_text("utf-8")
        node = "    server 127.0.0.1:8080 max_fails=2 fail_timeout=1s;\n"
        text = replace_once(text, node, "".join(node.replace("8080", str(port)) for port in node_ports))
        text = replace_once(text, "listen 80;", f"listen 127.0.0.1:{self.plain_port};")
        text = replace_once(text, "listen [::]:80;", "")
        text = replace_once(text, "listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl")
        text = replace_once(text, "listen [::]:443 ssl http2;", "")
        text = replace_once(text, "/etc/ssl/afeed/fullchain.pem", f"{self.directory}/fullchain.pem")
        text = replace_once(text, "/etc/ssl/afeed/privkey.pem", f"{self.directory}/privkey.pem")
        return replace_once(text, "/var/cache/nginx/afeed", f"{self.directory}/cache")

    @property
    def _command(self) -> list[str]:
        return [
            program("nginx", "/usr/sbin/nginx"),
            "-p",
            str(self.directory),
            "-c",
            str(self.directory / "main.conf"),
        ]

    def verdict(self) -> tuple[int, str]:
        """What ``nginx -t`` says of the configuration: exit status and output."""
        done = subprocess.run(
            [*self._command, "-t"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
        )
        return done.returncode, done.stdout

    def start(self) -> None:
        """Start it; returns once it accepts connections."""
        self.spawn(self._command)
        wait_until(lambda: not self.running or answers(self.port), "nginx to listen")
        assert self.running, f"nginx did not start: {self.output()}"
