"""The configuration of what runs on a node: containerd, its CNI network, the kubelet."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

SOCKET = "/run/containerd/containerd.sock"
CNI_PLUGINS = "/usr/lib/cni"


def containerd(cni: Path, sandbox_image: str) -> str:
    """containerd's config.toml; its root and state stay at the usual places, which are the node's own."""
    return f"""\
version = 2
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/{sandbox_image}"
  disable_apparmor = true
  # Lowering the score is not permitted everywhere, and runc dies where it is not.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""


def cni(subnet: str) -> str:
    """A bridge with addresses of the node's own subnet, without masquerading."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        # In /run, so that a reboot gives back the addresses of the pods that it ended.
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni",
            "ranges": [[{"subnet": subnet}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return msgspec.json.encode({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}).decode()


def kubelet(name: str, address: str, cgroup: str, pki: Path) -> str:
    """The KubeletConfiguration; access to it is asked of the API server, as on a real node."""
    return yaml.safe_dump(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki / f"{name}.crt"),
            "tlsPrivateKeyFile": str(pki / f"{name}.key"),
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroup,
            "enforceNodeAllocatable": [],
            "oomScoreAdj": 0,
            "failSwapOn": False,
            "resolvConf": "",
            "makeIPTablesUtilChains": False,
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
            "nodeStatusUpdateFrequency": "5s",
            # Images come by import and never from a registry: none may be collected.
            "imageGCHighThresholdPercent": 100,
        }
    )
