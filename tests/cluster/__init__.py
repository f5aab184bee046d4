"""A real Kubernetes cluster on one machine, for tests, the demo and the benchmarks.

etcd, the control plane and real nodes (kubelet and containerd on loop disks), in namespaces of their own:
nothing of the host changes, and `down` leaves nothing behind. `python -m tests.cluster --help` for people,
`Cluster` for programs.

Files: `build` makes the binaries, `cluster` and `controlplane` start them, `node` is a machine, `disks` its
disks, `image` what its pods run; `system` talks to the kernel, `state` says what is where, `teardown` cleans.
"""

from .cluster import Cluster, down
from .node import Disk, Node
from .system import ClusterError

__all__ = ["Cluster", "ClusterError", "Disk", "Node", "down"]
