"""Keys, certificates and kubeconfig files, made with the `openssl` command.

A cluster has one authority, thrown away with it. Who a client is stands in its certificate: the common name
is the user, the organisation the group.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import yaml

from .system import run

_DAYS = "3650"


class Authority:
    """The cluster's certificate authority, and the folder in which all that it signs is kept."""

    def __init__(self, folder: Path) -> None:
        """Opens the authority in `folder`, and makes it if there is none."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.certificate.exists():
            run(
                [
                    "openssl",
                    "req",
                    "-x509",
                    "-new",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-nodes",
                    "-keyout",
                    self.key("ca"),
                    "-out",
                    self.certificate,
                    "-days",
                    _DAYS,
                    "-subj",
                    "/CN=tidb-volume test",
                ]
            )

    @property
    def certificate(self) -> Path:
        """The authority's own certificate."""
        return self.pem("ca")

    def pem(self, name: str) -> Path:
        """Where the certificate called `name` is."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Where the private key called `name` is."""
        return self.folder / f"{name}.key"

    def issue(self, name: str, user: str, group: str = "", hosts: Sequence[str] = ()) -> None:
        """Signs a certificate for `user` of `group`, good for a client and, as `hosts`, for a server."""
        subject = (f"/O={group}" if group else "") + f"/CN={user}"
        request = self.folder / f"{name}.csr"
        extensions = self.folder / f"{name}.ext"
        lines = ["extendedKeyUsage=clientAuth,serverAuth", "keyUsage=digitalSignature"]
        if hosts:
            kinds = [f"IP:{host}" if host[0].isdigit() else f"DNS:{host}" for host in hosts]
            lines.append(f"subjectAltName={','.join(kinds)}")
        extensions.write_text("\n".join(lines))
        run(
            [
                "openssl",
                "req",
                "-new",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                self.key(name),
                "-out",
                request,
                "-subj",
                subject,
            ]
        )
        run(
            [
                "openssl",
                "x509",
                "-req",
                "-in",
                request,
                "-CA",
                self.certificate,
                "-CAkey",
                self.key("ca"),
                "-CAcreateserial",
                "-out",
                self.pem(name),
                "-days",
                _DAYS,
                "-extfile",
                extensions,
            ]
        )
        request.unlink()
        extensions.unlink()

    def key_pair(self, name: str) -> None:
        """Makes a bare key pair, `NAME.key` and `NAME.pub`, as the API server signs service tokens with."""
        run(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", self.key(name)])
        run(["openssl", "ec", "-in", self.key(name), "-pubout", "-out", self.folder / f"{name}.pub"])

    def kubeconfig(self, path: Path, server: str, name: str) -> None:
        """Writes a self-contained kubeconfig for `server` and the client certificate called `name`."""

        def inline(file: Path) -> str:
            return b64encode(file.read_bytes()).decode()

        user = {
            "client-certificate-data": inline(self.pem(name)),
            "client-key-data": inline(self.key(name)),
        }
        authority = {"server": server, "certificate-authority-data": inline(self.certificate)}
        text = yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "cluster", "cluster": authority}],
                "users": [{"name": name, "user": user}],
                "contexts": [{"name": "tidb-volume", "context": {"cluster": "cluster", "user": name}}],
                "current-context": "tidb-volume",
            }
        )
        path.touch(mode=0o600)
        path.write_text(text)
