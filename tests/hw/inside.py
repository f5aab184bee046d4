"""The machine's end of the line: does what a test asks, with the daemon's own code.

A job is done as the daemon does it: by a child that its zygote forks, in the mount namespace of process 1,
with a parent that answers for the API server. Only the API server's words are the test's.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
import traceback
from pathlib import Path

import msgspec

from disk_daemon import child, kernel, zygote
from disk_daemon.children import Child, Children
from disk_daemon.facts import hardware
from disk_daemon.facts.folder import Rules
from disk_daemon.jobs import Ask, Message, Tell
from tests.hw.messages import Answer, Did, Do, Failed, Identified, Identify, Ran, Ready, Request, Run

PORT = "tidb-volume"
"""The serial port's name."""

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


def run(request: Run) -> Ran:
    """A script, to its end."""
    done = subprocess.run(
        ["sh", "-ec", request.script], capture_output=True, text=True, errors="replace", check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def identify(request: Identify) -> Identified:
    """By the number that sysfs has for the name; virtual disks are not accepted on this machine."""
    number = (hardware.SYS / "class" / "block" / request.name / "dev").read_text().strip()
    try:
        return Identified(hardware.identity(number, virtual_disks=False))
    except hardware.Virtual as error:
        return Identified(refused=str(error))


class Parent:
    """Stands where the daemon's main loop stands: one zygote, one child at a time."""

    def __init__(self, rules: Rules) -> None:
        self.children = Children(*zygote.start(child.worker(rules, host_pid=1)), self._hear, self._gone)
        self._jobs = 0

    def do(self, request: Do) -> Did:
        """One job, to its child's end."""
        self._lives, self._read = request.lives, 0
        self._told: list[Tell] = []
        self._ended: Message | None = None
        self._status: int | None = None
        self._jobs += 1
        job = msgspec.structs.replace(request.job, id=self._jobs)
        one = self.children.spawn(job, time.monotonic(), 0)
        lines: list[socket.socket] = [one.line, self.children.line]
        while self._status is None:
            ready = select.select(lines, [], [])[0]
            if one.line in ready and not self.children.hear(one):
                lines.remove(one.line)
            elif self.children.line in ready:
                self.children.reap()
        return Did(self._ended, tuple(self._told), self._status)

    def _hear(self, one: Child, message: Message) -> None:
        match message:
            case Ask():
                live = self._lives[min(self._read, len(self._lives) - 1)]
                self._read += 1
                pvs = () if message.lean else live.pvs
                one.answer(
                    msgspec.structs.replace(live, read_at=kernel.boottime(), lean=message.lean, pvs=pvs)
                )
            case Tell():
                self._told.append(message)
            case _:
                self._ended = message

    def _gone(self, one: Child, status: int) -> None:
        self._status = status


def answer(request: Request, parents: dict[Rules, Parent]) -> Answer:
    """What there is to say to a request."""
    match request:
        case Run():
            return run(request)
        case Identify():
            return identify(request)
        case Do():
            parent = parents.get(request.rules)
            if parent is None:
                parent = parents[request.rules] = Parent(request.rules)
            return parent.do(request)


class Port:
    """The serial port, which the kernel lets a guest open once: lines in, lines out."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._unread = b""

    def line(self) -> bytes:
        """The next one; a host that is not there yet is waited for."""
        while b"\n" not in self._unread:
            got = os.read(self._fd, 1 << 16)
            self._unread += got
            if not got:
                time.sleep(0.05)
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def say(self, what: Answer) -> None:
        """One line."""
        left = msgspec.json.encode(what) + b"\n"
        while left:
            left = left[os.write(self._fd, left[: 1 << 14]) :]


def port() -> Port:
    """The one with our name."""
    for name in Path("/sys/class/virtio-ports").glob("*/name"):
        if name.read_text().strip() == PORT:
            return Port(f"/dev/{name.parent.name}")
    raise FileNotFoundError(f"there is no serial port {PORT}")


def main() -> None:
    line, parents = port(), dict[Rules, Parent]()
    line.say(Ready())
    while True:
        try:
            line.say(answer(_requests.decode(line.line()), parents))
        except Exception:
            line.say(Failed(traceback.format_exc()))


if __name__ == "__main__":
    main()
