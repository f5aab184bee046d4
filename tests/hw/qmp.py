"""QEMU's own line (QMP, docs/interop/qmp-spec in its source): plug, unplug, and what it says about it."""

from __future__ import annotations

from io import BufferedRWPair
from typing import Any

import msgspec

from tests.cluster.system import ClusterError


class Qmp:
    """One connection, for one thread."""

    def __init__(self, line: BufferedRWPair) -> None:
        self._file = line
        self._events: list[dict[str, Any]] = []
        self._next()  # the greeting
        self.call("qmp_capabilities")

    def call(self, command: str, **arguments: Any) -> Any:
        """What QEMU answers. Raises ClusterError with its words."""
        self._file.write(msgspec.json.encode({"execute": command, "arguments": arguments}) + b"\n")
        self._file.flush()
        while True:
            said = self._next()
            if "error" in said:
                raise ClusterError(f"qemu: {command} {arguments}: {said['error']['desc']}")
            if "return" in said:
                return said["return"]
            self._events.append(said)

    def wait_for(self, event: str, **data: object) -> None:
        """Until an event of that name came whose data say that; what else came meanwhile is kept."""
        while True:
            for one in self._events:
                if one["event"] == event and data.items() <= one.get("data", {}).items():
                    self._events.remove(one)
                    return
            self._events.append(self._next())

    def _next(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise ClusterError("qemu has ended")
        return msgspec.json.decode(line, type=dict[str, Any])
