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

_DAYS = 3650
_NEW_KEY = "-new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"


class Authority:
    """The cluster's certificate authority, and the folder in which all that it signs is kept."""

    def __init__(self, folder: Path) -> None:
        """Opens the authority in `folder`, and makes it if there is none."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.certificate.exists():
            files: list[str | Path] = ["-keyout", self.key("ca"), "-out", self.certificate]
            _openssl(f"req -x509 {_NEW_KEY} -days {_DAYS}", *files, "-subj", "/CN=tidb-volume test")

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
        _openssl(f"req {_NEW_KEY}", "-keyout", self.key(name), "-out", request, "-subj", subject)
        signer: list[str | Path] = ["-CA", self.certificate, "-CAkey", self.key("ca"), "-extfile", extensions]
        files: list[str | Path] = ["-in", request, "-out", self.pem(name)]
        _openssl(f"x509 -req -CAcreateserial -days {_DAYS}", *files, *signer)
        request.unlink()
        extensions.unlink()

    def key_pair(self, name: str) -> None:
        """Makes a bare key pair, `NAME.key` and `NAME.pub`, as the API server signs service tokens with."""
        _openssl("ecparam -genkey -name prime256v1 -noout", "-out", self.key(name))
        _openssl("ec -pubout", "-in", self.key(name), "-out", self.folder / f"{name}.pub")

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


def _openssl(words: str, *more: str | Path) -> None:
    run(["openssl", *words.split(), *more])
