"""What comes between, right where an example begins: most disasters take one thing at the one bad moment."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.life.model.hands import Hands

WAIT_S = 30


def _container_stays(life: Hands) -> None:
    life.the_kubelet_hangs(hangs=True)
    for key in tuple(life.cluster.etcd.claims):
        life.a_tenant_leaves(key)


def _older_etcd(life: Hands) -> None:
    if life.saved is not None:
        life.etcd_goes_back(forget=True)


def _given_back_and_forgotten(life: Hands) -> None:
    """The former owner gets it again and goes on writing; then etcd is set back."""
    life.a_person_gives_it_back("db/data-0", "former", 0)
    for _ in range(3):
        life.leader_sees_and_acts(4)
        life.daemon_obeys(0)
        life.kubernetes_acts()
    life.a_tenant_moves_in("db/data-0")
    _older_etcd(life)


def _cut_and_asked_back(life: Hands) -> None:
    life.a_daemon_dies(0)
    life.a_person_gives_it_back("db/data-0", "former", 0)


OPENINGS: dict[str, Callable[[Hands], None]] = {
    "nothing": lambda life: None,
    "pause": lambda life: life.the_fleet_is_paused(on=True),
    "fleet deleted": lambda life: life.something_is_deleted("fleet"),
    "breaker": lambda life: life.the_breaker(tripped=True),
    "hold": lambda life: life.say(hold=True),
    "gate": lambda life: life.say(gates={"tombstone": "a script"}),
    "Retain": lambda life: life.the_policy_is_patched("Retain"),
    "pool keeps": lambda life: life.the_entry_is_edited("0s", "keep"),
    "dropped": lambda life: life.the_entry_goes_and_comes(there=False),
    "restore": lambda life: life.a_person_gives_it_back("db/data-0", "former", 0),
    "given to another": lambda life: life.a_person_gives_it_back("other/data-0", "restore", 0),
    "answers taken back": lambda life: life.a_person_takes_every_answer_back(),
    "stale answer": lambda life: life.answer("q-stale", "wipe_now"),
    "claimRef cleared": lambda life: life.a_claim_ref_is_cleared(),
    "claimRef of a bound one cleared": lambda life: life.the_claim_ref_of_a_bound_volume_is_cleared(
        "db/data-1"
    ),
    "made again": lambda life: life.a_volume_is_made_again_by_hand(cleared=False, last=True, seconds=0),
    "made again, cleared": lambda life: life.a_volume_is_made_again_by_hand(
        cleared=True, last=True, seconds=0
    ),
    "deleted by hand": lambda life: life.a_volume_is_deleted_by_hand(force=True),
    "status deleted": lambda life: life.something_is_deleted("status"),
    "volume deleted": lambda life: life.something_is_deleted("volume"),
    "CRDs anew": lambda life: life.something_is_deleted("crd"),
    "deposed": lambda life: life.the_leader_decides_and_is_deposed_before_it_acts(),
    "another leader": lambda life: life.another_leads(),
    "no answer": lambda life: life.the_leader_acts_and_hears_no_answer(),
    "etcd set back": _older_etcd,
    "given back, and etcd set back": _given_back_and_forgotten,
    "daemon dies, restore": _cut_and_asked_back,
    "swapped": lambda life: life.the_machine_reboots("swapped"),
    "unmounted": lambda life: life.the_machine_reboots("unmounted"),
    "journal lost": lambda life: life.the_journal_is_lost(broken=False),
    "container stays": _container_stays,
    "daemon dies": lambda life: life.a_daemon_dies(0),
}
