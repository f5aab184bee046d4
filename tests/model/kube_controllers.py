"""What kube-controller-manager and the scheduler do to volumes and claims, one call at a time.

Not a copy of them: the outcomes that our controller has to live with (pkg/controller/volume/persistentvolume
and its protection controllers). `settle` runs until nothing changes any more, so a test decides when
Kubernetes reacts, and can do its own thing before.
"""

from __future__ import annotations

from typing import Any

from tests.model.apiserver import ApiServer
from tests.model.documents import Document
from tidb_volume import upstream
from tidb_volume.kube import kinds
from tidb_volume.kube.client import Client

_PROTECTED = {"finalizers": None}


class KubeControllers:
    """The controllers beside `server`."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._api: Client = server.client("kube-controller-manager")

    def settle(self) -> None:
        """Do all that is to be done, until a round changes nothing."""
        before = -1
        while before != self._server.version:
            before = self._server.version
            for claim in self._server.documents(kinds.CLAIM):
                self._claim(claim)
            for pv in self._server.documents(kinds.PV):
                self._pv(pv)

    def bind(self, claim: str, pv: str, namespace: str = "default") -> None:
        """The scheduler has chosen `pv` for `claim`; with an empty `pv`, the first that is Available."""
        found = self._document(kinds.CLAIM, claim, namespace)
        if not pv:
            wanted = found["spec"].get("storageClassName", "")
            fits = [
                each
                for each in self._server.documents(kinds.PV)
                if each["status"]["phase"] == "Available"
                and each["spec"].get("storageClassName", "") == wanted
                and "deletionTimestamp" not in each["metadata"]
            ]
            pv = fits[0]["metadata"]["name"]
        ref = {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": namespace,
            "name": claim,
            "uid": found["metadata"]["uid"],
        }
        self._api.merge_patch(kinds.PV, pv, {"spec": {"claimRef": ref}})
        self._api.merge_patch(kinds.CLAIM, claim, {"spec": {"volumeName": pv}}, namespace)
        self.settle()

    # --- one object ---

    def _claim(self, claim: Document) -> None:
        meta, name = claim["metadata"], claim["metadata"]["name"]
        namespace = meta["namespace"]
        if "deletionTimestamp" in meta:
            if not self._used(name, namespace):
                self._api.merge_patch(kinds.CLAIM, name, {"metadata": _PROTECTED}, namespace)
            return
        volume = claim["spec"].get("volumeName", "")
        if not volume:
            return
        pv = self._server.document(kinds.PV, volume)
        ref = (pv or {}).get("spec", {}).get("claimRef") or {}
        ours = (ref.get("namespace"), ref.get("name")) == (namespace, name)
        if pv is not None and ours and not ref.get("uid"):
            self._api.merge_patch(kinds.PV, volume, {"spec": {"claimRef": {"uid": meta["uid"]}}})
        bound = pv is not None and ours and ref.get("uid", meta["uid"]) == meta["uid"]
        phase = "Bound" if bound else "Lost" if claim["status"]["phase"] == "Bound" else "Pending"
        if claim["status"]["phase"] != phase:
            self._api.merge_patch(
                kinds.CLAIM, name, {"status": {"phase": phase}}, namespace, subresource="status"
            )

    def _pv(self, pv: Document) -> None:
        meta, name = pv["metadata"], pv["metadata"]["name"]
        phase = self._phase(pv)
        if pv["status"]["phase"] != phase:
            self._api.merge_patch(kinds.PV, name, {"status": {"phase": phase}}, subresource="status")
        if "deletionTimestamp" in meta and phase != "Bound" and meta.get("finalizers"):
            self._api.merge_patch(kinds.PV, name, {"metadata": _PROTECTED})

    def _phase(self, pv: Document) -> str:
        ref = pv["spec"].get("claimRef")
        if not ref:
            return "Available"
        claim = self._server.document(kinds.CLAIM, ref["name"], ref.get("namespace", ""))
        if not ref.get("uid"):
            return "Available"
        if claim is None or claim["metadata"]["uid"] != ref["uid"]:
            deletes = pv["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
            known = "pv.kubernetes.io/provisioned-by" in (pv["metadata"].get("annotations") or {})
            return "Failed" if deletes and not known else "Released"
        return "Bound"

    def _used(self, claim: str, namespace: str) -> bool:
        return any(
            volume.get("persistentVolumeClaim", {}).get("claimName") == claim
            for pod in self._server.documents(kinds.POD)
            if pod["metadata"]["namespace"] == namespace
            and pod["status"]["phase"] not in ("Succeeded", "Failed")
            for volume in pod["spec"].get("volumes", ())
        )

    def _document(self, kind: kinds.Kind[Any], name: str, namespace: str) -> Document:
        document = self._server.document(kind, name, namespace)
        if document is None:
            raise LookupError(f"no {kind.name} {namespace}/{name}")
        return document


def make_claim(api: Client, name: str, storage_class: str, namespace: str = "default") -> upstream.Claim:
    """A claim, as a StatefulSet makes it."""
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": "1Mi"}},
    }
    return api.create(kinds.CLAIM, {"metadata": {"name": name}, "spec": spec}, namespace)


def make_pod(api: Client, name: str, node: str, claim: str, namespace: str = "default") -> upstream.Pod:
    """A pod on `node` that uses `claim`."""
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    spec = {"nodeName": node, "volumes": volumes, "containers": [{"name": "main", "image": "x"}]}
    return api.create(kinds.POD, {"metadata": {"name": name}, "spec": spec}, namespace)
