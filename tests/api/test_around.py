"""What others say of a disk, live on a real API server: volumes of other provisioners, the same disk on
another node, globs that name it otherwise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.api.bench import Bench, until
from tidb_volume import names
from tidb_volume.kube import codec, kinds
from tidb_volume.value import Phase, Volume
from volume_controller import surveys

pytestmark = pytest.mark.api


def make_theirs(bench: Bench, path: str, host_path: bool = False) -> str:
    """A PersistentVolume of another provisioner; a hostPath says no node at all."""
    name = f"theirs-{bench.word}"
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "storageClassName": "another",
        "persistentVolumeReclaimPolicy": "Retain",
    }
    if host_path:
        spec["hostPath"] = {"path": path}
    else:
        chosen = {"key": names.HOSTNAME, "operator": "In", "values": [f"host-{bench.word}"]}
        terms = [{"matchExpressions": [chosen]}]
        spec |= {"local": {"path": path}, "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}
    bench.api.create(kinds.PV, {"metadata": {"name": name}, "spec": spec})
    return name


@pytest.fixture
def theirs(bench: Bench) -> Iterator[str]:
    name = f"theirs-{bench.word}"
    yield name
    if bench.api.find(kinds.PV, name) is not None:
        bench.api.delete(kinds.PV, name)


def conditions(bench: Bench, folder: str) -> dict[str, str]:
    found = bench.api.get(kinds.TIDB_VOLUME, bench.name(folder))
    return {each.type: each.message for each in found.status.conditions}


def events(bench: Bench, volume: Volume) -> set[str]:
    chosen = f"involvedObject.kind=TidbVolume,involvedObject.name={volume.metadata.name}"
    pages = bench.api.pages(kinds.EVENT, fields=chosen)
    found: list[codec.Event] = [each for page in pages for each in page.items]
    return {each.reason for each in found}


@pytest.mark.parametrize("host_path", [False, True])
def test_a_disk_that_anothers_volume_covers_is_foreign_until_that_one_is_gone(
    bench: Bench, theirs: str, host_path: bool
) -> None:
    make_theirs(bench, "/data/a/shared/pv1", host_path)
    bench.inventory("/data/a", "/data/b")
    bench.start()
    bench.wait("/data/b", Phase.AVAILABLE)
    found = bench.wait("/data/a", Phase.PENDING, "Foreign")
    assert f"{theirs} (/data/a/shared/pv1)" in found.status.message
    assert "remove that one or this entry" in found.status.message
    assert found.spec.order is None
    assert not bench.pvs(found.metadata.name)
    until("an Event", lambda: "Foreign" in events(bench, found))
    bench.api.delete(kinds.PV, theirs)
    bench.wait("/data/a", Phase.AVAILABLE)


def test_an_offer_is_withdrawn_when_anothers_volume_comes_to_cover_its_disk(
    bench: Bench, theirs: str
) -> None:
    bench.disks.links[bench.name("/data/a")] = ("/dev/disk/by-id/one", "/mnt/fast-disks/one")
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    make_theirs(bench, "/mnt/fast-disks/one")
    bench.wait("/data/a", Phase.PENDING, "Foreign")
    until("ours to go", lambda: not bench.pvs(first.metadata.name))
    bench.api.delete(kinds.PV, theirs)
    bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)


def test_a_disk_in_use_is_left_alone_and_not_wiped_while_anothers_volume_covers_it(
    bench: Bench, theirs: str
) -> None:
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    bench.claim(first)
    bound = bench.wait("/data/a", Phase.BOUND)
    bench.disks.data.add(bound.metadata.name)
    make_theirs(bench, "/data/a")
    until("it to be said", lambda: theirs in conditions(bench, "/data/a").get("Foreign", ""))
    until("an Event", lambda: "Foreign" in events(bench, first))
    assert bench.pvs(first.metadata.name)[0].metadata.deletion_timestamp is None
    bench.release(bound)
    bench.wait("/data/a", Phase.RELEASED, "Foreign")
    time.sleep(0.5)
    assert not bench.disks.wiped
    bench.api.delete(kinds.PV, theirs)
    bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)
    assert bench.disks.wiped == [first.status.tenancy]


def test_never_holds_for_every_name_of_a_disk(bench: Bench) -> None:
    name = bench.name("/data/a")
    bench.disks.links[name] = (f"/dev/disk/by-id/scsi-{bench.word}-BOOT",)
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    text = bench.api.get(kinds.CONFIG_MAP, "disks", bench.namespace).data["disks.yaml"]
    bench.inventory(text=f'never: ["/dev/disk/by-id/*{bench.word}-BOOT"]\n{text}')
    found = bench.wait("/data/a", Phase.PENDING, "Never")
    assert f"the disk is /dev/disk/by-id/scsi-{bench.word}-BOOT too" in found.status.message
    until("its offer to go", lambda: not bench.pvs(name))
    bench.inventory(text=f"never: []\n{text}")
    bench.wait("/data/a", Phase.AVAILABLE, not_tenancy=first.status.tenancy)


@pytest.fixture
def other(kubeconfig: Path, bench: Bench) -> Iterator[Bench]:
    """Another node, whose daemon says what it likes."""
    with closing(Bench(kubeconfig, bench)) as made:
        yield made


def test_of_one_disk_on_two_nodes_the_newcomer_is_refused_and_the_first_stays(
    bench: Bench, other: Bench
) -> None:
    serial = f"S-{bench.word}"
    bench.disks.serials[bench.name("/data/a")] = serial
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    other.disks.serials[other.name("/data/x")] = serial
    text = bench.api.get(kinds.CONFIG_MAP, "disks", bench.namespace).data["disks.yaml"]
    bench.inventory(text=f"{text[:-1]}, {other.word}: [/data/x, /data/y]}}")
    other.wait("/data/y", Phase.AVAILABLE)
    found = other.wait("/data/x", Phase.PENDING, "Conflict")
    assert first.metadata.name in found.status.message
    assert found.status.identity is None
    assert bench.wait("/data/a", Phase.AVAILABLE).status.tenancy == first.status.tenancy
    other.disks.serials[other.name("/data/x")] = f"T-{bench.word}"
    other.wait("/data/x", Phase.AVAILABLE)


def test_disks_of_two_machines_with_the_same_facts_are_told_apart_by_a_person(
    bench: Bench, other: Bench
) -> None:
    serial = f"drive-scsi0-{bench.word}"
    bench.disks.serials[bench.name("/data/a")] = serial
    bench.inventory("/data/a")
    bench.start()
    first = bench.wait("/data/a", Phase.AVAILABLE)
    other.disks.serials[other.name("/data/x")] = serial
    text = bench.api.get(kinds.CONFIG_MAP, "disks", bench.namespace).data["disks.yaml"]
    bench.inventory(text=f"{text[:-1]}, {other.word}: [/data/x]}}")
    found = other.wait("/data/x", Phase.PENDING, "Conflict")
    assert found.status.question is not None
    assert "accept-identity" in found.status.message
    answer = {"acceptIdentity": {"question": found.status.question.id}}
    bench.api.merge_patch(kinds.TIDB_VOLUME, found.metadata.name, {"spec": {"admin": answer}})
    taken = other.wait("/data/x", Phase.AVAILABLE)
    assert taken.status.identity == first.status.identity
    assert [each.what for each in taken.status.history] == ["told apart", "offered"]
    assert bench.wait("/data/a", Phase.AVAILABLE).status.tenancy == first.status.tenancy


def test_a_node_that_shows_many_disks_of_another_is_put_aside(bench: Bench, other: Bench) -> None:
    folders = ["/data/a", "/data/b", "/data/c"]
    bench.inventory(*folders)
    bench.start()
    for folder in folders:
        bench.wait(folder, Phase.AVAILABLE)
        other.disks.serials[other.name(folder)] = bench.name(folder)
    text = bench.api.get(kinds.CONFIG_MAP, "disks", bench.namespace).data["disks.yaml"]
    listed = ", ".join([*folders, "/data/new"])
    bench.inventory(text=f"{text[:-1]}, {other.word}: [{listed}]}}")
    found = other.wait("/data/new", Phase.PENDING, "Conflict")
    assert f"node {other.word} shows 3 disks that are on record elsewhere" in found.status.message
    for folder in folders:
        bench.wait(folder, Phase.AVAILABLE)
    bench.inventory(text=text.replace(f"{bench.word}: [", f"{other.word}: [/data/new, "))
    other.wait("/data/new", Phase.AVAILABLE)


def test_what_was_seen_of_a_machine_that_is_gone_is_deleted_once_no_record_of_it_is_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "GONE_S", 1.0)
    bench.inventory("/data/a")
    bench.start()
    bench.wait("/data/a", Phase.AVAILABLE)
    bench.disks.close()
    bench.api.delete(kinds.NODE, bench.word)
    time.sleep(3)
    assert bench.api.find(kinds.TIDB_VOLUME_NODE, bench.word) is not None
    bench.inventory(text=f"pools: {{{bench.word}: {{onRelease: wipe}}}}")
    until("the record to go", lambda: bench.api.find(kinds.TIDB_VOLUME, bench.name("/data/a")) is None)
    until("the survey to go", lambda: bench.api.find(kinds.TIDB_VOLUME_NODE, bench.word) is None)
    bench.api.create(kinds.NODE, {"metadata": {"name": bench.word}})
