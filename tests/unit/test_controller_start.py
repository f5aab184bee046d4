"""How the controller comes to its API server."""

from __future__ import annotations

import subprocess
import sys


def test_a_controller_in_a_pod_never_loads_the_kubernetes_package() -> None:
    """It is 44 MB and much of a leader's CPU, and a kubeconfig's plugins are of no use there."""
    code = (
        "import sys, volume_controller.__main__, volume_controller.app;"
        "sys.exit(any(name.split('.')[0] in ('kubernetes', 'urllib3') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
