"""Commands, processes and their end: the part of the cluster that talks to the operating system.

Every process that the cluster starts carries its state folder in the environment (`MARKER`). That is how
`down` finds them all after a crash that left no record, and never kills who got an old process id.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

MARKER = "TIDB_VOLUME_CLUSTER"

Answer = TypeVar("Answer")


class ClusterError(Exception):
    """The cluster could not do what was asked; the text says what, where, and the way out."""


class GaveUpError(ClusterError):
    """Waiting longer is of no use: what was awaited can't come any more."""


class Process(msgspec.Struct, frozen=True):
    """A process, told from a later one with the same number by its start time (clock ticks since boot)."""

    pid: int
    started: int


def run(argv: Sequence[str | Path], *, stdin: str | None = None, timeout: float | None = None) -> str:
    """Runs a command to its end and returns its standard output.

    Raises ClusterError with the command's own words when it fails or takes more than `timeout` seconds.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            env=_environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise ClusterError(f"{' '.join(words)}: no end after {timeout} s") from late
    except OSError as error:
        raise ClusterError(f"{words[0]}: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise ClusterError(f"{' '.join(words)}: exit {done.returncode}\n{said}")
    return done.stdout


def spawn(argv: Sequence[str | Path], log: Path, marker: Path) -> Process:
    """Starts a process that outlives the caller, in a session of its own, its output appended to `log`."""
    words = [str(word) for word in argv]
    program = which(words[0])
    if program is None:
        raise ClusterError(f"{words[0]}: command not found")
    environment = _environment() | {MARKER: str(marker)}
    appended = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), appended, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawn(program, words, environment, file_actions=actions, setsid=True)
    stat = _stat(pid)
    return Process(pid, stat[1] if stat else 0)


def alive(process: Process | None) -> bool:
    """Whether the process still runs; one that ended and waits for its parent does not."""
    if process is None:
        return False
    _reap(process.pid)
    stat = _stat(process.pid)
    return stat is not None and stat[0] not in "ZX" and stat[1] == process.started


def send(process: Process, number: int) -> None:
    """Sends a signal, to this very process or to none."""
    if alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def end(process: Process | None, number: int = signal.SIGKILL, timeout: float = 20) -> None:
    """Sends a signal and waits for the end; SIGKILL follows after `timeout` seconds."""
    if process is None or not alive(process):
        return
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(process.pid)
        try:
            send(process, number)
            if not select.select([handle], [], [], timeout)[0]:
                send(process, signal.SIGKILL)
                if not select.select([handle], [], [], timeout)[0]:
                    raise ClusterError(f"process {process.pid} does not end, even by SIGKILL")
        finally:
            os.close(handle)
    _reap(process.pid)


def wait(process: Process) -> None:
    """Waits for a process that this one has started."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, 0)


def identify(pid: int) -> Process | None:
    """The process that has this number now."""
    stat = _stat(pid)
    return Process(pid, stat[1]) if stat and stat[0] not in "ZX" else None


def marked(marker: Path) -> list[Process]:
    """All processes that were started for the cluster whose state folder is `marker`."""
    wanted = f"{MARKER}={marker}".encode()
    found = []
    for pid in all_pids():
        with contextlib.suppress(OSError):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                process = identify(pid)
                if process and pid != os.getpid():
                    found.append(process)
    return found


def all_pids() -> list[int]:
    """The numbers of all processes that this one can see."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def until(what: str, look: Callable[[], Answer], timeout: float = 60, pause: float = 0.05) -> Answer:
    """Looks again and again until the answer is true, and returns it.

    Raises ClusterError that names `what` was awaited, and the last error of looking, after `timeout` seconds;
    a GaveUpError of the look itself is passed on at once.
    """
    limit = time.monotonic() + timeout
    while True:
        why = ""
        try:
            answer = look()
            if answer:
                return answer
        except GaveUpError:
            raise
        except (OSError, ClusterError) as error:
            why = f": {error}"
        if time.monotonic() > limit:
            raise ClusterError(f"waited {timeout:.0f} s in vain for {what}{why}")
        time.sleep(pause)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log, for an error's text."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join([f"({log})", *text.splitlines()[-lines:]])


def which(program: str) -> str | None:
    """Where a program is: in PATH, or in the folders of administrators' tools, which not every PATH has."""
    return shutil.which(program, path=_environment()["PATH"])


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"}


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time from /proc/PID/stat; the name before them may hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
