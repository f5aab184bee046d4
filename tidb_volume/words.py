"""Every reason that a volume shows, with its way out, in one place.

The same words stand in the object's status, in the Event and in the CLI. A reason is the machine's word
(CamelCase, as in Kubernetes conditions); `way_out` is what a person can do about it, empty where nothing
has to be done but wait.
"""

from __future__ import annotations

import msgspec

from tidb_volume.value import Source


class Reason(msgspec.Struct, frozen=True):
    """One reason: its word, what it says, and the way out; the texts are filled by `str.format`."""

    word: str
    text: str
    way_out: str = ""

    def say(self, **facts: object) -> str:
        """The full sentence for people."""
        text = self.text.format(**facts)
        return f"{text}; {self.way_out.format(**facts)}" if self.way_out else text


_ALL = [
    # Pending: not on offer, because …
    Reason(
        "NodeUnknown",
        "node {node} is not in the cluster",
        "nothing to do if it is still to come, it is taken up when it registers; else remove its entry",
    ),
    Reason(
        "NotObserved",
        "the disk-daemon of {node} has not reported this disk yet",
        "if that lasts: kubectl get pods -A -o wide --field-selector spec.nodeName={node}",
    ),
    Reason(
        "NotPresent",
        "{source} is not there on {node}{note}; what it held is neither wiped nor offered meanwhile",
        "attach the disk, or remove its entry",
    ),
    Reason(
        "NotMounted",
        "{source} is not a mount point on {node}{note}; nothing is written to the folder below",
        "mount the disk there",
    ),
    Reason(
        "WrongDisk",
        "{source} leads to another disk than the one recorded{note}; neither is touched",
        "put the recorded disk back; or, if the new one is right:"
        " kubectl tidb-volume accept-identity {volume}",
    ),
    Reason("Conflict", "not offered: {note}", "keep one of the entries"),
    Reason(
        "Foreign",
        "another PersistentVolume, not ours, covers this disk{note}",
        "remove that one or this entry; both would hand out one disk twice",
    ),
    Reason("Refused", "this disk is never used{note}", "remove its entry"),
    Reason(
        "Occupied",
        "the disk is part of something else, and neither offered nor wiped, whatever is answered{note}",
        "do so by hand on {node}, or remove its entry",
    ),
    Reason(
        "Stuck",
        "the disk does not answer{note}",
        "look at the kernel's log of {node}; a disk that hangs is usually dying: replace it",
    ),
    Reason(
        "Hindered",
        "the daemon of {node} cannot do its work on it{note}; meanwhile it is neither offered nor wiped",
        "put right what it says; nothing has to be answered",
    ),
    Reason("Never", "the glob {note} under `never` forbids it", "remove the glob or the entry"),
    Reason(
        "HasData",
        "there is data that this record does not know: {note}; it is neither offered nor wiped",
        "say what to do with it: kubectl tidb-volume adopt {volume} --wipe, or --keep NAMESPACE/CLAIM;"
        " or clear the disk by hand",
    ),
    Reason(
        "Cordoned",
        "taken off offer, by a person or since its node's labels left the group that lists it",
        "kubectl tidb-volume uncordon {volume}; or give the node its labels back",
    ),
    Reason(
        "Retired",
        "retired by a person: not offered any more, wiped when released{note}",
        "remove its entry; or take spec.admin.retire back",
    ),
    Reason("Dropped", "no inventory entry lists it any more", "list it again, or leave it"),
    Reason(
        "HostnameConflict",
        "two Nodes carry one hostname label ({note}): a pod could land on the wrong machine",
        "give each Node a label kubernetes.io/hostname of its own",
    ),
    Reason(
        "NoHostname",
        "node {node} has no label kubernetes.io/hostname, by which pods find the disk",
        "kubectl label node {node} kubernetes.io/hostname={node}",
    ),
    Reason(
        "NotMadeReady",
        "the daemon refused to make it ready, so it is not offered: {note}",
        "put right what it says, or wait: it is tried again by itself at {when}",
    ),
    Reason("Preparing", "the daemon is making it ready{note}"),
    # Available, Bound
    Reason("OnOffer", "clean, seen, on offer"),
    Reason("Claimed", "bound to {claim}"),
    # Released: the data is still there, because …
    Reason(
        "Countdown",
        "the data is wiped at {note}",
        "kubectl tidb-volume hold {volume}, or patch the PV to Retain",
    ),
    Reason(
        "PolicyRetain",
        "the claim is gone; its data stays, since the PersistentVolume's reclaim policy is Retain",
        "to wipe it: kubectl patch pv {pv} -p "
        '\'{{"spec":{{"persistentVolumeReclaimPolicy":"Delete"}}}}\'; to wipe it at once:'
        " kubectl tidb-volume wipe-now {volume}",
    ),
    Reason(
        "PoolKeeps",
        "the claim is gone; its data stays, since pool {pool} keeps what was released",
        "kubectl tidb-volume wipe-now {volume}",
    ),
    Reason(
        "AtTheRoot",
        "the claim is gone; its data stays: it lies at the root of {source}, beside whatever else comes to"
        " lie there, and no reclaim policy wipes that",
        "look at what is there; to wipe all of it: kubectl tidb-volume wipe-now {volume}",
    ),
    Reason(
        "RecordLost",
        "its TidbVolume was made again after its release: holds, gates and answers of before may be lost",
        "look whose data it is; to wipe it: kubectl tidb-volume wipe-now {volume}",
    ),
    Reason(
        "HadSince",
        "the node's journal has seen claim {note} on this data after the one on record, so etcd was set back",
        "look whose data it is; who had it, and how it is given back: kubectl tidb-volume explain {volume};"
        " to wipe it: kubectl tidb-volume wipe-now {volume}",
    ),
    Reason(
        "Held",
        "held by a person: it is not wiped for now",
        "kubectl tidb-volume hold --off {volume}",
    ),
    Reason(
        "Gated",
        "not wiped while the gate {note} stands; who set it takes it away, usually a program",
        "a gate in spec.admin.gates: remove it there; one of the pool:"
        " spec.admin.gatesPassed names it with the tenancy in status.tenancy",
    ),
    Reason(
        "InUse",
        "still in use ({note}); it is neither wiped nor offered before that ends, however long it takes",
        "end it, or unmount it; a pod that hangs in Terminating: look at its node's kubelet",
    ),
    Reason(
        "NodeNotReady", "node {node} is not ready; what is to be done there waits for it", "repair the node"
    ),
    Reason(
        "DaemonNotReady",
        "no disk-daemon is Ready on {node}: nothing is made ready or wiped there; pods go on",
        "kubectl get pods -A -o wide -l app.kubernetes.io/name=disk-daemon"
        " --field-selector spec.nodeName={node}; no pod there: look at the DaemonSet's nodeSelector",
    ),
    Reason("Paused", "the fleet is paused", "kubectl tidb-volume resume"),
    Reason(
        "FleetMissing",
        "there is no TidbVolumeFleet named fleet, which is the same as paused: nothing is wiped, and no disk"
        " that was wiped is offered",
        "make it again by hand: kubectl create -f deploy/fleet.yaml",
    ),
    Reason(
        "BreakerOpen",
        "the circuit breaker is open: {note}; nothing is wiped, and no disk that was wiped is offered",
        "look why so much was released at once, then kubectl tidb-volume breaker reset",
    ),
    Reason(
        "GoneByHand",
        "its PersistentVolume went, and not by us: whether somebody counts on the data is not known;"
        " it is neither wiped nor offered",
        "to wipe it and offer it again: kubectl tidb-volume adopt {volume} --wipe; to give it back:"
        " kubectl tidb-volume restore {volume}",
    ),
    Reason(
        "DroppedReleased",
        "released, and no inventory entry lists it any more: its data stays",
        "list it again and it goes on; if the disk is gone for good: kubectl tidb-volume forget {volume}",
    ),
    Reason("Ordered", "the wipe is ordered; until its PersistentVolume is deleted a hold still stops it"),
    Reason(
        "NotBegun",
        "the daemon refused the wipe before its PersistentVolume was deleted, so nothing is wiped: {note}",
        "put right what it says, or wait: it is ordered again by itself at {when}",
    ),
    Reason(
        "RestoreAsked",
        "a person gives the data back{note}; nothing is wiped meanwhile",
        "the condition AnswerNotTaken says if that cannot be; to go on without: take spec.admin.restore back",
    ),
    Reason(
        "Reserved",
        "the data is kept for claim {note} alone",
        "make that claim, and it gets the data; if nobody wants it any more, delete PersistentVolume {pv}",
    ),
    Reason(
        "AwaitsApproval",
        "all is ready, and in manual mode no disk is wiped before a person approves",
        "kubectl tidb-volume approve {volume}",
    ),
    # Wiping, Failed
    Reason("TakingBack", "a person wants the data back; waiting for the daemon to say that no byte is gone"),
    Reason("Wiping", "the wipe runs{note}"),
    Reason("WaitsFor", "the wipe is past its point of no return and waits: {note}"),
    Reason(
        "WipeFailed",
        "the wipe failed: {note}",
        "it is tried again by itself at {when}; if it fails again, look at the kernel's log of {node}",
    ),
    Reason(
        "WipeRefused",
        "the daemon refused: {note}; nothing is wiped or offered",
        "look at what is on the disk; to wipe it all the same: kubectl tidb-volume adopt {volume} --wipe",
    ),
    Reason(
        "Terminating",
        "somebody deleted its PersistentVolume while claim {claim} has it: the pod runs on, and when the"
        " claim goes the PersistentVolume goes with it",
        "that cannot be undone; before the claim goes, save what has to be kept",
    ),
    Reason(
        "NodeLost",
        "node {node} is gone from the cluster; the data is on its disk and is not wiped",
        "bring the node back; if it never comes: kubectl tidb-volume forget {volume}",
    ),
]

REASONS: dict[str, Reason] = {reason.word: reason for reason in _ALL}


_OF_A_DEVICE = {
    "NotMounted": Reason(
        "NotMounted",
        "what was made on {source} is not mounted on {node}{note}; nothing on it is formatted or wiped",
        "put right what it says: it is mounted by itself then",
    ),
}
"""Where an entry names a device, what is made on it is the daemon's to mount, and no admin's."""


def say(word: str, **facts: object) -> str:
    """The sentence for one reason. `facts` always hold volume, node, source, pool, pv, claim, note, when."""
    return find(word, facts.get("source")).say(**facts)


def find(word: str, source: object) -> Reason:
    """The reason for one word; of some a device's entry says something else than a folder's."""
    is_device = isinstance(source, Source) and bool(source.device)
    return _OF_A_DEVICE.get(word, REASONS[word]) if is_device else REASONS[word]
