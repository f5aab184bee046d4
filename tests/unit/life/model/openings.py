"""What comes between, right where an example begins: most disasters take one thing at the one bad moment."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.life.machine import Item
from tests.unit.life.model.hands import Hands
from tests.unit.life.model.state import STRANGER, tenancy_of
from tidb_volume.life import actions

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


def _given_to_one_that_is_forgotten(life: Hands) -> None:
    """The claim made again gets it, a daemon has seen it there, and then etcd is set back."""
    life.a_person_gives_it_back("db/data-0", "former", 0)
    life.leader_sees_and_acts(4)
    life.a_tenant_moves_in("db/data-0")
    life.leader_sees_and_acts(4)
    life.a_daemon_looks(0)
    _older_etcd(life)


def _cut_and_asked_back(life: Hands) -> None:
    life.a_daemon_dies(0)
    life.a_person_gives_it_back("db/data-0", "former", 0)


def _older_machine_and_etcd(life: Hands) -> None:
    life.the_machine_is_restored_from_a_snapshot()
    _older_etcd(life)


def _cut_set_back_and_asked_back(life: Hands) -> None:
    """The journal that knew that bytes are gone is one that knows the order, and of none."""
    life.a_daemon_works(0, 3)
    life.saved_journals = dict(life.machine.journals)
    life.a_daemon_works(0, 4)
    life.the_machine_is_restored_from_a_snapshot()
    life.a_person_gives_it_back("db/data-0", "former", 0)


def _used_and_forgotten(life: Hands) -> None:
    """Nobody of ours looks while the claim has it."""
    life.a_tenant_moves_in("db/data-0")
    _older_etcd(life)


def _emptied_and_forgotten(life: Hands) -> None:
    life.a_pod_ends_and_leaves_nothing("db/data-0")
    _older_etcd(life)


def _emptied_forgotten_and_edited(life: Hands) -> None:
    """It is made ready anew on what was reported in the backup's time."""
    _emptied_and_forgotten(life)
    life.the_entry_is_edited("0s", "keep")
    life.leader_sees_and_acts(6)
    life.a_daemon_works(0, 12)


def _emptied_and_cleared(life: Hands) -> None:
    life.a_pod_ends_and_leaves_nothing("db/data-0")
    life.a_tenant_leaves("db/data-0")
    life.a_claim_ref_is_cleared()


def _both_daemons_and_restore(life: Hands) -> None:
    """The second one gives back while the first, which read before that, begins."""
    life.a_daemon_works(0, 4)
    life.a_person_gives_it_back("db/data-0", "former", 0)
    life.leader_sees_and_acts(2)
    life.a_daemon_works(1, 2)
    life.a_daemon_works(0, 3)
    life.a_daemon_works(1, 3)
    life.a_daemon_writes(1, last=True)
    life.leader_sees_and_acts(3)


def _counted_then_held(life: Hands) -> None:
    """The leader has all that it needs for the order, and does not see the hold yet."""
    life.leader_comes_to(actions.CountWipe)
    life.say(hold=True)


def _asked_back_then_bound(life: Hands) -> None:
    """The leader sees that it is asked back, and not that somebody has it meanwhile."""
    life.a_person_gives_it_back("db/data-0", "former", 0)
    life.controllers[life.leader].catch_up()
    life.a_claim_ref_is_cleared()
    life.a_tenant_moves_in("db/data-1")


def _given_to_one_that_leaves(life: Hands) -> None:
    """Kubernetes never bound it, and nobody heard that the claim is gone."""
    life.a_claim_is_made("db/data-1")
    life.a_person_gives_it_back("db/data-1", "restore", 0)
    life.leader_comes_to(actions.SetClaimRef)
    life.a_claim_is_deleted("db/data-1")
    life.cluster.kube()
    life.a_person_takes_every_answer_back(0)


def _two_tenants_later(life: Hands) -> None:
    """Etcd is set back to an order of long ago, and the node has lost its journal."""
    for key in ("db/data-1", "other/data-0"):
        for _ in range(6):
            life.leader_sees_and_acts(4)
            life.daemon_obeys(0)
        life.a_tenant_moves_in(key)
        life.daemon_obeys(0)
        if key == "db/data-1":
            life.a_tenant_leaves(key)
    life.a_pod_ends("other/data-0", kubelet=True)
    life.the_journal_is_lost(broken=False)
    _older_etcd(life)


def _next_tenant_then_older_etcd(life: Hands) -> None:
    for _ in range(6):
        life.leader_sees_and_acts(4)
        life.daemon_obeys(0)
    life.a_tenant_moves_in("db/data-1")
    life.a_pod_ends("db/data-1", kubelet=True)
    _older_etcd(life)


def _written_by_hand(life: Hands) -> None:
    """Into what the order has made clean, before it is on offer."""
    life.a_daemon_works(0, 12)
    slot = life.machine.slot
    on_offer = {tenancy_of(pv) for pv in life.cluster.etcd.pvs.values()}
    for tenancy, items in slot.tenancies.items() if slot is not None else ():
        if not items and tenancy not in on_offer:
            items.add(Item(STRANGER, "by hand"))
    life.a_daemon_looks(0)
    while life.daemons[0].letters:
        life.a_daemon_writes(0, last=False)
    life.leader_sees_and_acts(3)


def _made_again_beside_another(life: Hands) -> None:
    """A volume of the tenant before, put on offer by hand beside the one that is."""
    for _ in range(6):
        life.leader_sees_and_acts(4)
        life.daemon_obeys(0)
    life.a_volume_is_made_again_by_hand(cleared=True, last=True, seconds=0)


def _node_lost(life: Hands) -> None:
    """Its pods are taken away by force, its machine may well run on, and its pool waits for nobody long."""
    life.the_pool_lets_claims_of_a_lost_node_go("20s")
    life.a_node_is_out_of_service(out=True)
    life.the_kubelet_hangs(hangs=True)
    life.leader_sees_and_acts(2)
    life.cluster.etcd.pods.clear()
    life.leader_sees_and_acts(2)


def _node_back(life: Hands) -> None:
    _node_lost(life)
    life.a_node_is_out_of_service(out=False)


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
    "asked back in vain": lambda life: life.a_person_gives_it_back("other/data-0", "restore", 0),
    "given to another": lambda life: life.a_person_gives_it_back("db/data-1", "restore", 0),
    "given to one that leaves": _given_to_one_that_leaves,
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
    "given to one that is forgotten": _given_to_one_that_is_forgotten,
    "daemon dies, restore": _cut_and_asked_back,
    "swapped": lambda life: life.the_machine_reboots("swapped"),
    "unmounted": lambda life: life.the_machine_reboots("unmounted"),
    "machine set back": lambda life: life.the_machine_is_restored_from_a_snapshot(),
    "machine and etcd set back": _older_machine_and_etcd,
    "daemon dies, machine set back, restore": _cut_set_back_and_asked_back,
    "journal lost": lambda life: life.the_journal_is_lost(broken=False),
    "container stays": _container_stays,
    "used, and etcd set back": _used_and_forgotten,
    "emptied, and etcd set back": _emptied_and_forgotten,
    "emptied, etcd set back, edited": _emptied_forgotten_and_edited,
    "emptied, claimRef cleared": _emptied_and_cleared,
    "both daemons, restore": _both_daemons_and_restore,
    "counted, then held": _counted_then_held,
    "asked back, then bound": _asked_back_then_bound,
    "two tenants later, etcd set back": _two_tenants_later,
    "next tenant, etcd set back": _next_tenant_then_older_etcd,
    "written by hand": _written_by_hand,
    "made again beside another": _made_again_beside_another,
    "something put on it": lambda life: life.something_is_put_on_a_disk(0),
    "node lost": _node_lost,
    "node back": _node_back,
    "daemon dies": lambda life: life.a_daemon_dies(0),
}
