"""The command lines of etcd and the Kubernetes control plane.

Two places to run: in a network namespace of the cluster's own, with the fixed ports of a real one; or, for
the API server alone, straight on the machine's loopback with ports that were free. Nothing is started here.
"""

from __future__ import annotations

from .state import BRIDGE, SERVICE, Layout, Record

# The order in which they are started; they end in the reverse.
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def command(part: str, layout: Layout, record: Record) -> list[str]:
    """The argument list that runs a part of the control plane."""
    make = {
        "etcd": _etcd,
        "kube-apiserver": _apiserver,
        "kube-controller-manager": _controller_manager,
        "kube-scheduler": _scheduler,
    }[part]
    return [record.programs[part], *make(layout, record)]


def _etcd(layout: Layout, record: Record) -> list[str]:
    client = f"http://127.0.0.1:{record.etcd_port}"
    return [
        "--name=default",
        f"--data-dir={layout.etcd_data}",
        # A peer address is demanded, even of one alone; a socket in the state folder clashes with nobody.
        f"--listen-peer-urls=unix://{layout.folder}/peer.sock:0",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver(layout: Layout, record: Record) -> list[str]:
    pki = layout.pki
    return [
        f"--etcd-servers=http://127.0.0.1:{record.etcd_port}",
        f"--secure-port={record.port if record.api_only else 443}",
        f"--bind-address={'127.0.0.1' if record.api_only else '0.0.0.0'}",
        f"--advertise-address={'127.0.0.1' if record.api_only else BRIDGE}",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-key-file={pki}/service-account.pub",
        f"--service-account-signing-key-file={pki}/service-account.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        "--profiling=false",
        # Nobody looks for the API server by a Service there, and an endpoint may not be a loopback address.
        *(["--endpoint-reconciler-type=none"] if record.api_only else []),
    ]


def _controller_manager(layout: Layout, record: Record) -> list[str]:
    return [
        f"--kubeconfig={layout.pki}/kube-controller-manager.kubeconfig",
        f"--service-account-private-key-file={layout.pki}/service-account.key",
        f"--root-ca-file={layout.pki}/ca.crt",
        "--use-service-account-credentials",
        # One of each runs here, and a lost lease would only make a slow machine fail.
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        f"--node-monitor-grace-period={record.node_grace_s}s",
        "--node-monitor-period=2s",
        "--profiling=false",
        # What met a conflict in the volume binder waits for its next round over all there is.
        *(["--pvclaimbinder-sync-period=1s"] if record.api_only else []),
    ]


def _scheduler(layout: Layout, record: Record) -> list[str]:
    return [
        f"--kubeconfig={layout.pki}/kube-scheduler.kubeconfig",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    ]


def certificates() -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Certificate name to user, group and host names, for all but the nodes' own."""
    names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    hosts = ("127.0.0.1", BRIDGE, SERVICE, *names)
    return {
        "apiserver": ("kube-apiserver", "", hosts),
        "apiserver-kubelet": ("kube-apiserver-kubelet-client", "system:masters", ()),
        "admin": ("admin", "system:masters", ()),
        "kube-controller-manager": ("system:kube-controller-manager", "", ()),
        "kube-scheduler": ("system:kube-scheduler", "", ()),
    }
