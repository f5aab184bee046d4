"""What the API server's refusals and silences mean to a person, with the way out and the exit code."""

from __future__ import annotations

from tidb_volume import names
from tidb_volume.cli.exits import CliError, Exit
from tidb_volume.kube import codec, transport

INSTALL = "kubectl apply -k deploy/base-crds, then -k deploy/, then kubectl create -f deploy/fleet.yaml"


def of(error: Exception) -> CliError | None:
    """The failure as a person should read it; None where it is none of the API's."""
    if isinstance(error, transport.NoAnswer):
        words = f"no answer from the API server: {error}"
        if error.sent:
            return CliError(
                words, "a write may have been done: look before you do it again", Exit.UNREACHABLE
            )
        return CliError(words, "look at the server's address: kubectl config view --minify", Exit.UNREACHABLE)
    if isinstance(error, codec.Undecodable):
        return CliError(f"an object is not of the form that this version knows: {error}")
    if isinstance(error, transport.ApiError):
        return _answered(error)
    return None


def _answered(error: transport.ApiError) -> CliError:
    if error.status == 401:
        return CliError(
            "the API server does not know you", "log in again, or name another --context", Exit.REFUSED
        )
    if error.status == 403:
        return CliError(error.message, "ask for the right that it names", Exit.REFUSED)
    if error.not_found and not error.details.name:
        return CliError(
            f"the cluster knows no {names.GROUP} kinds: tidb-volume is not installed there",
            INSTALL,
            Exit.NOT_FOUND,
        )
    if error.not_found:
        return CliError(error.message, code=Exit.NOT_FOUND)
    if error.conflict:
        return CliError("it was changed meanwhile; nothing was written", "look again", Exit.REFUSED)
    if error.invalid:
        return CliError(f"the API server refused it: {error.message}", code=Exit.REFUSED)
    return CliError(f"the API server failed: {error}", "try again", Exit.UNREACHABLE)
