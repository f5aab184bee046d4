"""Every reason that a volume shows, with its way out, in one place.

The same words stand in the object's status, in the Event and in the CLI. A reason is the machine's word
(CamelCase, as in Kubernetes conditions); `way_out` is what a person can do about it, empty where nothing
has to be done but wait.
"""

from __future__ import annotations

import msgspec


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
    Reason("NodeUnknown", "node {node} is not in the cluster", "it is taken up by itself when it registers"),
    Reason("NotObserved", "the disk-daemon of {node} has not reported this disk yet"),
    Reason("NotPresent", "{source} is not there on {node}{note}", "attach the disk, or remove its entry"),
    Reason(
        "NotMounted",
        "{source} is not a mount point on {node}{note}",
        "mount the disk there; nothing is written to the folder below",
    ),
    Reason(
        "WrongDisk",
        "{source} leads to another disk than the one recorded{note}",
        "put the recorded disk back; or accept the new one by answering the question",
    ),
    Reason("Conflict", "{note}", "keep one of the entries"),
    Reason("Foreign", "another PersistentVolume covers this disk{note}", "remove it, or this entry"),
    Reason("Refused", "this disk is never used{note}", "remove its entry"),
    Reason("Stuck", "the disk does not answer{note}", "look at the kernel log of {node}; replace the disk"),
    Reason("Never", "the glob {note} under `never` forbids it", "remove the glob or the entry"),
    Reason(
        "HasData",
        "there is data that this record does not know: {note}",
        "say what to do with it: kubectl tidb-volume adopt {volume} --wipe, or clear the disk by hand",
    ),
    Reason("Cordoned", "cordoned by a person", "kubectl tidb-volume uncordon {volume}"),
    Reason("Retired", "retired by a person"),
    Reason("Dropped", "no inventory entry lists it any more", "list it again, or forget it"),
    Reason(
        "HostnameConflict", "two Nodes carry the hostname label {note}", "give each Node a label of its own"
    ),
    Reason("NoHostname", "node {node} has no label kubernetes.io/hostname"),
    Reason("Preparing", "the daemon is making it ready"),
    Reason("FirstClean", "the disk is cleaned before its first offer"),
    Reason("NotYetSupported", "{note}"),
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
        "the PersistentVolume's reclaim policy is Retain",
        'to wipe it: kubectl patch pv {pv} -p \'{{"spec":{{"persistentVolumeReclaimPolicy":"Delete"}}}}\'',
    ),
    Reason("PoolKeeps", "pool {pool} keeps what was released", "kubectl tidb-volume wipe-now {volume}"),
    Reason("Held", "held by a person", "kubectl tidb-volume hold --off {volume}"),
    Reason("Gated", "the gate {note} stands"),
    Reason("InUse", "still in use: {note}"),
    Reason("NodeNotReady", "node {node} is not ready"),
    Reason("Paused", "the fleet is paused", "kubectl tidb-volume resume"),
    Reason("FleetMissing", "there is no TidbVolumeFleet named fleet: nothing is wiped", "make it again"),
    Reason(
        "BreakerOpen", "the circuit breaker is open: {note}", "look, then kubectl tidb-volume breaker reset"
    ),
    Reason(
        "GoneByHand",
        "its PersistentVolume went, and not by us: who had the disk is not known",
        "to wipe it and offer it again: kubectl tidb-volume adopt {volume} --wipe",
    ),
    Reason("DroppedReleased", "released, and no entry lists it any more", "list it again, or forget it"),
    Reason("Ordered", "the wipe is ordered"),
    Reason("RestoreAsked", "a person gives the data back{note}"),
    Reason("Reserved", "the data is kept for claim {note} alone", "make that claim, and it gets the data"),
    Reason(
        "AwaitsApproval",
        "in manual mode no disk is wiped before a person approves",
        "kubectl tidb-volume approve {volume}",
    ),
    Reason("TakingBack", "the order is taken back; the daemon has to say that no byte is gone"),
    # Wiping, Failed
    Reason("Wiping", "the wipe runs{note}"),
    Reason("WaitsFor", "the wipe waits: {note}"),
    Reason("WipeFailed", "the wipe failed: {note}", "it is tried again at {when}"),
    Reason("WipeRefused", "the daemon refused: {note}"),
    Reason("Terminating", "somebody deleted its PersistentVolume while a claim has it"),
    Reason("NodeLost", "node {node} is gone from the cluster"),
]

REASONS: dict[str, Reason] = {reason.word: reason for reason in _ALL}


def say(word: str, **facts: object) -> str:
    """The sentence for one reason. `facts` always hold volume, node, source, pool, pv, claim, note, when."""
    return REASONS[word].say(**facts)
