"""What `kubectl explain` says of the fields whose name says enough in the code.

By struct and field of `tidb_volume/value.py` and `fleet.py`. What stands here goes before the docstring under
a field there, which goes before the docstring of the struct that the field holds.
"""

from __future__ import annotations

from collections.abc import Mapping

SAID: Mapping[str, str] = {
    "Volume.spec": "What the inventory declares, the order in force, and what people said.",
    "Volume.status": (
        "Where the disk stands: `disk` and `work` are the daemon's words, all else the controller's."
    ),
    "VolumeSpec.node_name": (
        "The node whose machine holds the disk. Never changes: another node is another disk."
    ),
    "VolumeSpec.pool": "The pool of the inventory, which is a StorageClass of the same name.",
    "VolumeSpec.volume_mode": "Filesystem: pods get a folder. Block: they get the raw device.",
    "VolumeSpec.fs_type": (
        "For a device that pods use as a folder: the file system that the daemon makes and mounts."
    ),
    "VolumeSpec.mount_options": (
        "What the daemon mounts a device's file system with; pods get those that are flags of a mount."
    ),
    "VolumeSpec.labels": "The pool's labels, which the PersistentVolume has from its making.",
    "WipePolicy.on_release": "What becomes of a disk whose claim is gone: wipe it, or keep it as it is.",
    "WipePolicy.after": "How long a released disk waits before it is wiped, such as 1h or 30m.",
    "WipePolicy.method": "auto, files, format, discard, zero, overwrite:N or nvme-format.",
    "WipePolicy.gates": "Names of gates that stand for each tenancy until spec.admin.gatesPassed names it.",
    "Source.path": "A folder on which the admin mounted the disk.",
    "Source.device": "A stable name below /dev/disk/by-id, or another name together with a serial.",
    "Source.serial": "The serial number that the disk must have.",
    "Order.id": "A random id, never used again; what is reported counts for this id alone.",
    "Order.kind": (
        "reclaim: wipe after a release. prepare: make ready without a wipe of a tenant's data. mount and "
        "unmount: as named."
    ),
    "Order.method": "The wipe method, decided.",
    "Order.identity": "The disk that is meant. Another disk under the same name is refused.",
    "Order.ends": "The tenancy that this order ends; empty for the first use.",
    "Order.next": "The tenancy that this order begins.",
    "Order.offer": "The disk is handed over to `next` as the last step, to be offered.",
    "Order.pv_name": "The PersistentVolume that this order ends.",
    "Order.pv_uid": "Its UID.",
    "Order.claim_uid": "The UID of the claim that had it.",
    "Words.cordon": "Not offered any more; reversible. A released disk is still wiped.",
    "Words.retire": "Cordon, and leave when released.",
    "Words.hold": "This volume is not wiped for now.",
    "Words.gates": "Gates by name, with the reason: no wipe begins while one stands.",
    "Words.gates_passed": (
        "The pool's gates that were passed, by name, each with the tenancy that it was passed for."
    ),
    "Admin.adopt": "What to do with data that was found on the disk.",
    "Admin.approve": "Lets a planned destructive action happen.",
    "Admin.restore": "Gives the data back.",
    "Admin.wipe_now": "Ends the countdown; on a volume that is kept it is the decision itself.",
    "Admin.accept_identity": "The disk that is there now is the right one, or one of its own though other"
    " machines show the same facts.",
    "Admin.forget": "Ends the record of a disk that is gone or no longer listed. It is NOT wiped.",
    "Adopt.question": "The id in status.question that this answers; it counts for that question alone.",
    "Adopt.by": "Who says so: the user name of whoever writes it (kubectl auth whoami).",
    "Adopt.action": "Wipe: the data goes. Keep: the disk is reserved, as it is, for one claim.",
    "Adopt.claim": "For Keep: the claim that gets the disk.",
    "Approve.question": "The id in status.question that this answers; it counts for that question alone.",
    "Approve.by": "Who says so: the user name of whoever writes it (kubectl auth whoami).",
    "Approve.method": "A wipe method that is no weaker than the planned one; empty: the planned one.",
    "Restore.question": "The id in status.question that this answers; it counts for that question alone.",
    "Restore.by": "Who says so: the user name of whoever writes it; needed where a claim is named.",
    "Restore.claim": "The claim that gets the data.",
    "Answer.question": "The id in status.question that this answers; it counts for that question alone.",
    "Answer.by": "Who says so: the user name of whoever writes it (kubectl auth whoami).",
    "Ref.namespace": "Its namespace.",
    "Ref.name": "Its name.",
    "Ref.uid": "Its UID.",
    "VolumeStatus.phase": (
        "The disk's life: Pending (declared, not on offer), Available (clean, on offer), Bound (a claim "
        "has it), Released (its claim is gone, the data still there), Wiping (past the point of no "
        "return), Failed."
    ),
    "VolumeStatus.reason": "Why it stands there, in one word.",
    "VolumeStatus.message": "Why it stands there, and the way out.",
    "VolumeStatus.owner": "Who has the disk.",
    "VolumeStatus.volume_name": "The PersistentVolume of this tenancy.",
    "VolumeStatus.volume_uid": "Its UID.",
    "VolumeStatus.wipe_from": "When the countdown to the wipe began.",
    "VolumeStatus.wipe_at": "When the countdown to the wipe ends.",
    "VolumeStatus.capacity": "The disk's size, for people.",
    "VolumeStatus.used": "How much of it is used, in coarse steps.",
    "VolumeStatus.question": "What a person may decide now.",
    "VolumeStatus.history": "What happened to the disk, the newest last.",
    "VolumeStatus.conditions": "What is wrong or worth knowing around the phase.",
    "VolumeStatus.disk": "What the daemon sees of the disk.",
    "VolumeStatus.work": "What became of the order.",
    "Owner.claim": "The claim that has the disk.",
    "Owner.pod": "The pod that uses the claim now.",
    "Question.id": "What an answer must name.",
    "Question.kind": "What kind of decision it is.",
    "Question.text": "The question.",
    "Question.at": "When it was asked.",
    "Condition.type": "What is looked at, such as NodeReady.",
    "Condition.status": "True, False or Unknown.",
    "Condition.reason": "Why, in one word.",
    "Condition.message": "Why, and the way out.",
    "Condition.last_transition_time": "Since when the status is what it is.",
    "Record.at": "When.",
    "Record.what": "What happened.",
    "Record.tenancy": "In which tenancy.",
    "Record.who": "Who did it or whom it concerned.",
    "Record.note": "More about it.",
    "DiskReport.presence": "Whether the disk that is listed is there, and is the one that it was.",
    "DiskReport.message": "What the daemon says about it.",
    "DiskReport.identity": "Facts from the hardware that tell this disk from others.",
    "DiskReport.capacity_bytes": "Its size in bytes.",
    "DiskReport.content": "What is on it: unknown, blank, tenancy or data.",
    "Identity.eui": "EUI-64 or NGUID.",
    "Identity.wwn": "World Wide Name.",
    "Identity.serial": "Serial number.",
    "Identity.model": "Model.",
    "Identity.size_bytes": "Size in bytes.",
    "Identity.fs_uuid": "The UUID of the file system on it; belongs to the content, not to the hardware.",
    "Identity.virtual": "A virtual disk's backing file, in test clusters.",
    "Work.order_id": "The order that this is about; it counts for that one alone.",
    "Work.state": "running, done, refused or failed.",
    "Work.reason": "Why, in one word.",
    "Work.message": "Why, and the way out.",
    "Work.done_bytes": "Bytes done.",
    "Work.total_bytes": "Bytes in all.",
    "Work.done_files": "Files deleted.",
    "Work.attempt": "Which attempt this is.",
    "Work.at": "When this was reported.",
    "VolumeNode.status": "What the daemon sees of the machine, and the record of disks that left it.",
    "NodeReport.boot": "The boot id under which it was seen.",
    "NodeReport.daemon": "The daemon's version.",
    "NodeReport.virtual_disks": "The daemon accepts virtual disks, for test clusters.",
    "NodeReport.disks": "Every disk seen.",
    "SeenDisk.name": "The kernel's name today.",
    "SeenDisk.device": "major:minor.",
    "SeenDisk.links": "Its stable names.",
    "SeenDisk.mounts": "Where it is mounted.",
    "SeenDisk.identity": "Facts from the hardware.",
    "SeenDisk.content": "What was found on it, for people. Not filled yet.",
    "Fleet.spec": "What people say of the whole fleet.",
    "Fleet.status": "The controller's account of the whole fleet.",
    "FleetWords.paused": (
        "The stop button: true stops every wipe within seconds, also one that runs. Pods go on."
    ),
    "FleetWords.mode": "auto, or manual: every destructive action waits for an approve of its question.",
    "FleetWords.budget": "How much may be destroyed in an hour before the circuit breaker trips.",
    "FleetWords.approvals": (
        "Inventory edits that were approved, by hash. Not obeyed yet: no edit waits for it."
    ),
    "Budget.wipes_per_hour": "Wipes an hour.",
    "Budget.claims_per_hour": "Claims deleted an hour. Not obeyed yet: this version deletes no claim.",
    "Budget.percent": "The share of the fleet's volumes that may be wiped in an hour, in percent.",
    "Budget.at_least": "The share is never fewer volumes than this.",
    "FleetStatus.inventories": "What became of each inventory ConfigMap.",
    "FleetStatus.breaker": "The circuit breaker.",
    "FleetStatus.counts": "How many volumes are in each phase. Not filled yet; a metric counts them.",
    "InventoryStatus.name": "The ConfigMap.",
    "InventoryStatus.hash": "The hash of its content as it is.",
    "InventoryStatus.disks": "How many disks it lists.",
    "InventoryStatus.errors": (
        "While accepted differs from hash: why its last edit was refused, with file, line, column and the way"
        " out. After that, or alone: what it warns of, and which of its disks wait for a node."
    ),
    "Breaker.epoch": "Counts how often it was closed; spec.breakerReset names the one that a person ends.",
    "Breaker.tripped": "It stands open: no order is begun until a person resets it.",
    "Breaker.reason": "Why it tripped.",
    "Breaker.at": "When it tripped.",
    "Breaker.ledger": "What was spent in the last hour.",
    "Spent.minute": "The minute.",
    "Spent.wipes": "Wipes ordered in it.",
    "Spent.claims": "Claims deleted in it. Not counted yet: this version deletes no claim.",
}
"""Descriptions of fields that need no docstring in the code, by struct and field."""
