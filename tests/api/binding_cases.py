"""What Kubernetes does to volumes and claims, as far as a disk's life depends on it: the cases of
`life_cases.py` about kube-controller-manager and the scheduler."""

from __future__ import annotations

import pytest

from tests.api.life_cases import BOUND_BY, Kube, Scene
from tests.api.life_cases import scene as scene
from tidb_volume import names
from tidb_volume.value import Ref

OTHER = "bbbbbbbbbbbb"


# --- on offer, and chosen ---


def test_a_new_volume_is_on_offer(scene: Scene) -> None:
    scene.offer()
    assert scene.shown() == ("Available", None, False)


def test_a_claim_gets_a_volume_from_the_scheduler_alone(kube: Kube, scene: Scene) -> None:
    scene.offer()
    kube.make_claim(scene.one)
    kube.settle()
    assert scene.stands(scene.one) == ("Pending", "")
    assert kube.choose(scene.one)
    assert scene.stands(scene.one) == ("Bound", scene.name)
    assert scene.shown() == ("Bound", scene.whole_ref(scene.one), False)
    assert scene.pv().metadata.annotations[BOUND_BY] == "yes"
    assert scene.pv().metadata.annotations[names.PROVISIONED_BY] == names.PROVISIONER


def test_the_scheduler_chooses_nothing_that_is_not_on_offer(kube: Kube, scene: Scene) -> None:
    scene.released()
    scene.offer(OTHER, ref=scene.ref(scene.two))
    kube.make_claim(scene.one)
    assert not kube.choose(scene.one)
    assert scene.stands(scene.one) == ("Pending", "")


def test_a_claim_is_bound_once(kube: Kube, scene: Scene) -> None:
    scene.bound()
    other = scene.offer(OTHER)
    kube.choose(scene.one)
    assert scene.stands(scene.one) == ("Bound", scene.name)
    assert scene.shown(other) == ("Available", None, False)


# --- reserved ---


@pytest.mark.parametrize("claim_first", [False, True])
def test_a_volume_that_waits_for_a_claim_is_bound_without_the_scheduler(
    kube: Kube, scene: Scene, claim_first: bool
) -> None:
    if claim_first:
        kube.make_claim(scene.one)
    scene.offer(ref=scene.ref(scene.one))
    if not claim_first:
        assert scene.shown() == ("Available", scene.ref(scene.one), False)
        kube.make_claim(scene.one)
    kube.settle()
    assert scene.stands(scene.one) == ("Bound", scene.name)
    assert scene.shown() == ("Bound", scene.whole_ref(scene.one), False)
    assert BOUND_BY not in scene.pv().metadata.annotations


def test_a_volume_that_is_pinned_by_hand_goes_to_the_claim_of_that_name(kube: Kube, scene: Scene) -> None:
    scene.offer()
    kube.make_claim(scene.one)
    kube.make_claim(scene.two)
    kube.point(scene.name, scene.ref(scene.two))
    assert not kube.choose(scene.one)
    assert scene.stands(scene.one) == ("Pending", "")
    assert scene.stands(scene.two) == ("Bound", scene.name)


@pytest.mark.parametrize("anew", [False, True])
def test_a_volume_for_a_claim_that_is_not_there_any_more_is_released(
    kube: Kube, scene: Scene, anew: bool
) -> None:
    """Also where there is another one of that name."""
    if anew:
        kube.make_claim(scene.one)
    scene.offer(ref=scene.ref(scene.one, "gone"))
    assert scene.shown() == ("Released", scene.ref(scene.one, "gone"), False)


@pytest.mark.parametrize("reserved", [False, True])
def test_a_claim_that_names_a_volume_gets_it_without_the_scheduler(
    kube: Kube, scene: Scene, reserved: bool
) -> None:
    scene.offer(ref=scene.ref(scene.one) if reserved else None)
    kube.make_claim(scene.one, scene.name)
    kube.settle()
    assert scene.stands(scene.one) == ("Bound", scene.name)
    assert scene.shown() == ("Bound", scene.whole_ref(scene.one), False)
    assert (BOUND_BY in scene.pv().metadata.annotations) is not reserved


def test_a_claim_that_names_a_volume_waits_for_it(kube: Kube, scene: Scene) -> None:
    kube.make_claim(scene.one, scene.name)
    kube.settle()
    assert scene.stands(scene.one) == ("Pending", scene.name)
    scene.offer()
    assert scene.stands(scene.one) == ("Bound", scene.name)


@pytest.mark.parametrize("how", ["bound", "released", "reserved"])
def test_a_claim_that_names_a_volume_of_anothers_waits(kube: Kube, scene: Scene, how: str) -> None:
    if how == "bound":
        scene.bound()
    elif how == "released":
        scene.released()
    else:
        scene.offer(ref=scene.ref(scene.one))
    before = scene.pv()
    kube.make_claim(scene.two, scene.name)
    kube.settle()
    assert scene.stands(scene.two) == ("Pending", scene.name)
    assert scene.shown() == (before.status.phase, before.spec.claim_ref, False)


# --- the claim goes ---


def test_a_volume_is_released_once_its_claim_is_gone_and_says_whose_it_was(scene: Scene) -> None:
    was = scene.bound()
    scene.kube.delete_claim(scene.one)
    scene.kube.settle()
    assert scene.shown() == ("Released", was.spec.claim_ref, False)
    assert scene.pv().metadata.annotations == was.metadata.annotations


def test_a_claim_of_the_same_name_made_anew_does_not_get_the_former_ones_volume(
    kube: Kube, scene: Scene
) -> None:
    was = scene.released()
    kube.make_claim(scene.one)
    assert not kube.choose(scene.one)
    assert scene.stands(scene.one) == ("Pending", "")
    assert scene.shown() == ("Released", was.spec.claim_ref, False)


def test_a_claim_that_a_pod_uses_goes_with_the_pod(kube: Kube, scene: Scene) -> None:
    was = scene.bound()
    kube.start_pod(scene.one)
    kube.delete_claim(scene.one)
    kube.settle()
    assert scene.claim(scene.one).metadata.deletion_timestamp
    assert scene.stands(scene.one) == ("Bound", scene.name)
    assert scene.shown() == ("Bound", was.spec.claim_ref, False)
    kube.end_pod(scene.one)
    kube.settle()
    assert kube.claim(scene.one) is None
    assert scene.shown() == ("Released", was.spec.claim_ref, False)


@pytest.mark.parametrize("how", ["pinned", "named", "chosen"])
def test_a_claim_that_is_being_deleted_is_still_bound_to_a_volume_that_is_for_it(
    kube: Kube, scene: Scene, how: str
) -> None:
    kube.make_claim(scene.one, scene.name if how == "named" else "")
    kube.start_pod(scene.one)
    kube.delete_claim(scene.one)
    kube.settle()
    ref = scene.ref(scene.one) if how == "pinned" else scene.whole_ref(scene.one) if how == "chosen" else None
    scene.offer(ref=ref)
    kube.settle()
    assert scene.claim(scene.one).metadata.deletion_timestamp
    assert scene.stands(scene.one) == ("Bound", scene.name)
    assert scene.shown() == ("Bound", scene.whole_ref(scene.one), False)


def test_the_scheduler_chooses_nothing_for_a_claim_that_is_being_deleted(kube: Kube, scene: Scene) -> None:
    scene.offer()
    kube.make_claim(scene.one)
    kube.start_pod(scene.one)
    kube.delete_claim(scene.one)
    assert not kube.choose(scene.one)
    assert scene.shown() == ("Available", None, False)


# --- what a release comes to ---


@pytest.mark.parametrize(
    ("policy", "annotated", "phase"),
    [
        ("Delete", True, "Released"),
        ("Delete", False, "Failed"),
        ("Retain", True, "Released"),
        ("Retain", False, "Released"),
    ],
)
def test_a_released_volume_fails_where_kubernetes_should_delete_it_and_nobody_says_who_can(
    kube: Kube, scene: Scene, policy: str, annotated: bool, phase: str
) -> None:
    scene.bound()
    kube.set_policy(scene.name, policy)
    if not annotated:
        kube.strip(scene.name)
    kube.delete_claim(scene.one)
    kube.settle()
    assert scene.shown()[0] == phase


def test_a_failed_volume_stays_failed(kube: Kube, scene: Scene) -> None:
    """Also with its annotation back, and with another policy."""
    scene.released()
    kube.strip(scene.name)
    kube.settle()
    assert scene.shown()[0] == "Failed"
    scene.annotate(scene.pv())
    kube.settle()
    assert scene.shown()[0] == "Failed"
    kube.set_policy(scene.name, "Retain")
    kube.settle()
    assert scene.shown()[0] == "Failed"
    kube.point(scene.name, None)
    kube.settle()
    assert scene.shown()[0] == "Available"


def test_an_annotation_that_is_put_back_leaves_the_others(scene: Scene) -> None:
    was = scene.bound()
    scene.annotate(was)
    assert scene.pv().metadata.annotations == was.metadata.annotations
    assert BOUND_BY in was.metadata.annotations


def test_a_released_volume_is_put_on_offer_by_who_clears_its_claim(kube: Kube, scene: Scene) -> None:
    scene.released()
    kube.point(scene.name, None)
    kube.settle()
    assert scene.shown() == ("Available", None, False)
    kube.make_claim(scene.two)
    assert kube.choose(scene.two)
    assert scene.stands(scene.two) == ("Bound", scene.name)


@pytest.mark.parametrize("there", [False, True])
def test_a_released_volume_that_is_given_to_a_claim_waits_for_it(
    kube: Kube, scene: Scene, there: bool
) -> None:
    """Be it there or not; with the former claim's UID gone from it, and the scheduler's mark."""
    scene.released()
    if there:
        kube.make_claim(scene.one)
        kube.settle()
    scene.give(scene.pv(), scene.one)
    assert BOUND_BY not in scene.pv().metadata.annotations
    assert scene.pv().metadata.annotations[names.PROVISIONED_BY] == names.PROVISIONER
    kube.settle()
    if not there:
        assert scene.shown() == ("Available", scene.ref(scene.one), False)
        kube.make_claim(scene.one)
        kube.settle()
    assert scene.shown() == ("Bound", scene.whole_ref(scene.one), False)
    assert scene.stands(scene.one) == ("Bound", scene.name)


# --- the volume goes ---


def test_a_volume_on_offer_is_deleted_at_once(kube: Kube, scene: Scene) -> None:
    scene.offer()
    scene.delete(scene.pv())
    kube.settle()
    assert kube.pv(scene.name) is None
    with scene.refused("NotFound"):
        kube.delete_pv(scene.name)


def test_a_released_volume_is_deleted_at_once(kube: Kube, scene: Scene) -> None:
    scene.released()
    scene.delete(scene.pv())
    kube.settle()
    assert kube.pv(scene.name) is None


@pytest.mark.parametrize("reserved", [False, True])
def test_a_bound_volume_is_being_deleted_until_its_claim_is_gone(
    kube: Kube, scene: Scene, reserved: bool
) -> None:
    if reserved:
        scene.offer(ref=scene.ref(scene.one))
        kube.make_claim(scene.one)
        kube.settle()
    else:
        scene.bound()
    kube.delete_pv(scene.name)
    kube.settle()
    before = scene.pv()
    assert scene.shown() == ("Bound", scene.whole_ref(scene.one), True)
    assert scene.stands(scene.one) == ("Bound", scene.name)
    kube.delete_pv(scene.name)
    assert scene.pv() == before
    kube.delete_claim(scene.one)
    kube.settle()
    assert kube.pv(scene.name) is None


def test_a_claim_whose_volume_is_gone_is_lost(kube: Kube, scene: Scene) -> None:
    scene.bound()
    kube.force_pv(scene.name)
    kube.settle()
    assert scene.stands(scene.one) == ("Lost", scene.name)
    assert not kube.choose(scene.one)
    kube.delete_claim(scene.one)
    kube.settle()
    assert kube.claim(scene.one) is None


@pytest.mark.parametrize(("made", "bound"), [("whole", True), ("without uid", False), ("free", True)])
def test_a_lost_claim_gets_what_is_made_under_its_volumes_name(
    kube: Kube, scene: Scene, made: str, bound: bool
) -> None:
    """With its UID, or for nobody; not what is reserved for its name."""
    was = scene.bound()
    kube.force_pv(scene.name)
    kube.settle()
    ref = was.spec.claim_ref
    assert ref is not None
    wanted = {"whole": ref, "without uid": scene.ref(scene.one), "free": None}[made]
    scene.offer(ref=wanted)
    assert scene.stands(scene.one) == ("Bound" if bound else "Lost", scene.name)
    assert scene.shown() == (("Bound", ref, False) if bound else ("Available", wanted, False))
    assert scene.pv().metadata.uid != was.metadata.uid


def test_a_claim_that_names_a_bound_volume_which_is_being_deleted_does_not_get_it(
    kube: Kube, scene: Scene
) -> None:
    scene.bound()
    kube.delete_pv(scene.name)
    kube.make_claim(scene.two, scene.name)
    kube.settle()
    assert scene.stands(scene.two) == ("Pending", scene.name)


# --- a claimRef that somebody changes ---


def test_a_bound_volume_whose_claim_is_cleared_is_bound_to_it_again(kube: Kube, scene: Scene) -> None:
    scene.bound()
    kube.point(scene.name, None)
    kube.settle()
    assert scene.shown() == ("Bound", scene.whole_ref(scene.one), False)
    assert scene.stands(scene.one) == ("Bound", scene.name)


@pytest.mark.parametrize("uid", [False, True])
def test_a_bound_volume_that_is_pointed_at_another_claim_is_that_ones(
    kube: Kube, scene: Scene, uid: bool
) -> None:
    scene.bound()
    kube.make_claim(scene.two)
    kube.settle()
    kube.point(scene.name, scene.whole_ref(scene.two) if uid else scene.ref(scene.two))
    kube.settle()
    assert scene.stands(scene.one) == ("Lost", scene.name)
    assert scene.stands(scene.two) == ("Bound", scene.name)
    assert scene.shown() == ("Bound", scene.whole_ref(scene.two), False)


def test_a_bound_volume_that_is_pointed_at_its_own_claim_without_the_uid_is_lost_to_it(
    kube: Kube, scene: Scene
) -> None:
    scene.bound()
    kube.point(scene.name, scene.ref(scene.one))
    kube.settle()
    assert scene.stands(scene.one) == ("Lost", scene.name)
    assert scene.shown() == ("Available", scene.ref(scene.one), False)


@pytest.mark.parametrize(
    ("policy", "annotated", "phase", "kept"),
    [
        ("Delete", True, "Released", "uid"),
        ("Delete", False, "Available", "name"),
        ("Retain", True, "Available", "name"),
    ],
)
def test_a_volume_for_a_claim_that_has_another_one(
    kube: Kube, scene: Scene, policy: str, annotated: bool, phase: str, kept: str
) -> None:
    scene.bound()
    ref = scene.whole_ref(scene.one)
    manifest = scene.manifest(OTHER, ref, persistentVolumeReclaimPolicy=policy)
    if not annotated:
        manifest["metadata"]["annotations"] = {}
    other = kube.make_pv(manifest).metadata.name
    kube.settle()
    assert scene.stands(scene.one) == ("Bound", scene.name)
    left: Ref = ref if kept == "uid" else scene.ref(scene.one)
    assert scene.shown(other) == (phase, left, False)


def test_a_volume_that_was_chosen_for_a_claim_which_has_another_one_is_on_offer_again(
    kube: Kube, scene: Scene
) -> None:
    scene.bound()
    manifest = scene.manifest(OTHER, scene.whole_ref(scene.one), persistentVolumeReclaimPolicy="Retain")
    manifest["metadata"]["annotations"][BOUND_BY] = "yes"
    other = kube.make_pv(manifest).metadata.name
    kube.settle()
    assert scene.shown(other) == ("Available", None, False)
    assert BOUND_BY not in scene.pv(other).metadata.annotations


# --- what our controller decided on an older reading ---


@pytest.mark.parametrize("since", ["bound", "policy", "made again"])
def test_what_was_decided_about_a_volume_that_changed_since_is_a_conflict(
    kube: Kube, scene: Scene, since: str
) -> None:
    scene.offer()
    old = scene.pv()
    if since == "bound":
        kube.make_claim(scene.one)
        assert kube.choose(scene.one)
    elif since == "policy":
        kube.set_policy(scene.name, "Retain")
    else:
        kube.delete_pv(scene.name)
        kube.settle()
        scene.offer()
    before = scene.pv()
    for act in (scene.delete, scene.annotate, lambda pv: scene.give(pv, scene.two)):
        with scene.refused("Conflict"):
            act(old)
    assert scene.pv() == before


def test_each_precondition_of_a_delete_counts_alone(kube: Kube, scene: Scene) -> None:
    scene.offer()
    old = scene.pv().metadata
    kube.set_policy(scene.name, "Retain")
    with scene.refused("Conflict"):
        kube.delete_pv(scene.name, resource_version=old.resource_version)
    kube.delete_pv(scene.name, uid=old.uid)
    kube.settle()
    scene.offer()
    with scene.refused("Conflict"):
        kube.delete_pv(scene.name, uid=old.uid)
    assert scene.shown() == ("Available", None, False)


def test_what_was_decided_about_a_volume_that_is_gone_is_not_found(kube: Kube, scene: Scene) -> None:
    scene.offer()
    old = scene.pv()
    kube.delete_pv(scene.name)
    kube.settle()
    for act in (scene.delete, scene.annotate, lambda pv: scene.give(pv, scene.two)):
        with scene.refused("NotFound"):
            act(old)
