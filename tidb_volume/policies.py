"""What the admission policies of deploy/ say, as digests: so that `doctor` tells one that was weakened, or is
of another version, from one that is as it should be.

A policy whose name, failurePolicy and binding are right may let everything through all the same: a condition
that never holds, `validations: [true]`. `python -m deploy.policies` brings the digests up to date.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

NAMESPACE = "tidb-volume"
"""In which deploy/ installs, and after which its policies name our accounts."""
_DEFAULTS: dict[str, object] = {
    "matchPolicy": "Equivalent",
    "namespaceSelector": {},
    "objectSelector": {},
    "scope": "*",
}
"""What the API server adds."""

# digests: begin
DIGESTS: dict[str, str] = {
    "tidb-volume-claim-ref": "335bd6bb2e95ebff",
    "tidb-volume-controller": "e10a005a8ef3643e",
    "tidb-volume-controller-claims": "cbfb444abf78bd5a",
    "tidb-volume-daemon": "0aed723b3bf29dc9",
    "tidb-volume-keep-records": "c8911ccd665432f3",
    "tidb-volume-marks": "a3efb26b959f45db",
    "tidb-volume-orders": "b277713901ab25b8",
    "tidb-volume-words": "f45541e61839dd45",
}
# digests: end


def digest(spec: dict[str, Any], namespace: str = NAMESPACE) -> str:
    """What a policy says, whatever the server added to it; namespace: in which our programs run."""
    text = json.dumps(_plain(spec), sort_keys=True)
    text = text.replace(f"system:serviceaccount:{namespace}:", f"system:serviceaccount:{NAMESPACE}:")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {
            key: _plain(each) for key, each in tree.items() if key not in _DEFAULTS or _DEFAULTS[key] != each
        }
    if isinstance(tree, list):
        return [_plain(each) for each in tree]
    # Two readers of YAML need not break a folded line alike.
    return re.sub(r"\s+", " ", tree).strip() if isinstance(tree, str) else tree
