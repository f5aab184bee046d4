"""`kubectl_complete-tidb_volume`: what kubectl asks at each press of the tab key.

kubectl runs it with the words after `kubectl tidb-volume`, the last one being typed, and reads a candidate a
line, then `:` and a directive (cobra's ShellCompDirective; 4: no file names). Whatever goes wrong, nothing is
said: a completion that prints an error is worse than none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from tidb_volume.cli.__main__ import MUTATING, VERBS, parser

FILES, NO_FILES = 0, 4
PATIENCE_S = 2.0
_NAMED = (MUTATING | {"explain", "history"}) - {"pause", "resume", "breaker"}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the candidates; always 0."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        found, directive = candidates(words)
    except (Exception, SystemExit):
        found, directive = (), NO_FILES
    sys.stdout.write("".join(f"{each}\n" for each in found) + f":{directive}\n")
    return 0


def candidates(words: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """What the last word may become, and the directive."""
    typed = words[-1] if words else ""
    verb = next((word for word in words[:-1] if word in VERBS), "")
    if not verb:
        return _begin(VERBS, typed), NO_FILES
    if typed.startswith("-"):
        return _begin(_options(verb), typed), NO_FILES
    before = words[-2] if len(words) > 1 else ""
    if verb == "validate" or before == "--kubeconfig":
        return (), FILES
    if before in ("-o", "--output"):
        return _begin(("table", "wide", "json", "yaml", "name"), typed), NO_FILES
    if verb == "breaker":
        return _begin(("reset", "show"), typed), NO_FILES
    if verb not in _NAMED:
        return (), NO_FILES
    return _begin(_volumes(words), typed), NO_FILES


def _begin(words: Iterable[str], typed: str) -> tuple[str, ...]:
    return tuple(sorted(word for word in words if word.startswith(typed)))


def _options(verb: str) -> list[str]:
    made = parser("kubectl tidb-volume", [verb])
    verbs = next(action for action in made._actions if action.dest == "verb")
    choices = verbs.choices
    assert isinstance(choices, dict)
    return [option for option in choices[verb]._option_string_actions if option.startswith("--")]


def _volumes(words: Sequence[str]) -> list[str]:
    from tidb_volume.cli import connect
    from tidb_volume.kube import kinds

    verb = next(word for word in words if word in VERBS)
    at = list(words).index(verb)
    options = parser("kubectl tidb-volume", words).parse_args([*words[: at + 1], "x"])
    options.request_timeout = PATIENCE_S
    options.opened = []
    try:
        return [volume.metadata.name for volume in connect.client(options).list(kinds.TIDB_VOLUME)[0]]
    finally:
        for connection in options.opened:
            connection.close()


if __name__ == "__main__":
    sys.exit(main())
