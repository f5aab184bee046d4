"""Which claim on a tenancy the journal has to note: the decision of `witness`, which carries it out.

Whose claim it is comes with the TidbVolume that is watched; that a pod has the folder mounted is seen on the
machine itself.
"""

from __future__ import annotations

from disk_daemon import journal
from disk_daemon.jobs import Job
from disk_daemon.known import Entry, Facts, Journal
from tidb_volume import names
from tidb_volume.value import Presence


def news(job: Job, facts: Facts, known: Journal) -> tuple[str, str] | None:
    """The tenancy and the claim that the journal has not noted yet; None: nothing is new."""
    if facts.presence is not Presence.OK or not isinstance(known, Entry) or not known.handed:
        return None
    noted = journal.seen_on(known, known.handed)
    if job.claim_uid and job.tenancy == known.handed:
        return None if job.claim_uid in noted else (known.handed, job.claim_uid)
    used = any(_is_in(user.root, known) for user in facts.users)
    return (known.handed, "") if used and not noted else None


def _is_in(root: str, known: Entry) -> bool:
    """A mount with that root is of the tenancy: its folder or one below, or a raw device's node. Who only has
    the device open need not be a tenant."""
    if known.block:
        return root.rpartition("/")[2] == known.handed
    inside = f"/{names.FOLDER}/{known.handed}"
    return root == inside or root.startswith(f"{inside}/")
