"""Certificates as one page of HTML: no script, nothing loaded, a certificate on each printed sheet."""

from __future__ import annotations

from html import escape

from tidb_volume.certificate import Certificate, Certified
from tidb_volume.cli.render import clean
from tidb_volume.identity import words
from tidb_volume.value import Identity

_STYLE = """
  body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; max-width: 46rem; margin: 2rem auto }
  body { padding: 0 1rem }
  section { break-after: page; margin-bottom: 4rem }
  h1 { font-size: 1.35rem; margin: 0 0 .2rem }
  p.what { margin: 0 0 1rem; color: #555 }
  table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-top: 1px solid #ddd }
  th { width: 11rem; font-weight: 600; white-space: nowrap }
  td { overflow-wrap: anywhere }
  h2 { font-size: 1rem; margin: 1.4rem 0 .3rem }
  ul { margin: 0; padding-left: 1.2rem }
  .missing { border: 2px solid #b00020; padding: .6rem 1rem }
  @media print { body { margin: 0 } }
"""


def disk(of: Identity) -> str:
    """Which disk, in a line."""
    return " ".join(part for part in (of.model, of.serial) if part) or words(of)


def rows(of: Certificate) -> list[tuple[str, str]]:
    """Names and texts, in the order in which people read them; what is empty is left out."""
    found = [
        ("disk", words(of.disk)),
        ("in", f"{of.node}, {of.source}"),
        ("wiped", of.scope),
        ("method", f"{of.method}: {of.does}"),
        ("after it", of.gone),
        ("checked", of.checked),
        ("SP 800-88", of.nist),
        ("begun", of.begun_at),
        ("done", of.done_at + (f", at the {of.attempts}. attempt" if of.attempts > 1 else "")),
        ("amount", _amount(of)),
        ("asked for by", of.asked + (f" (question {of.answer})" if of.answer else "")),
        ("had it last", ", ".join(str(each) for each in (of.claim, of.pod) if each is not None)),
        ("volume", " ".join(part for part in (of.pv_name or of.volume, of.pv_uid) if part)),
        ("tenancy", of.tenancy),
        ("order", of.order),
    ]
    return [(name, text) for name, text in found if text]


def _amount(of: Certificate) -> str:
    """How much was deleted or overwritten, as far as it is on record; to the byte, since it is a record."""
    counted = ((of.done_bytes, "bytes"), (of.done_files, "files"))
    said = ", ".join(f"{number} {what}" for number, what in counted if number)
    return said + (" in the last attempt" if said and of.attempts > 1 else "")


def page(of: Certified) -> str:
    """The whole page; every text of the record is escaped."""
    parts = [_section(each) for each in of.done]
    if of.missing:
        items = "".join(f"<li>{_plain(each)}</li>" for each in of.missing)
        parts.append(f'<section class="missing"><h1>Not certified</h1><ul>{items}</ul></section>')
    if not parts:
        parts.append("<p>No wipe of that is on record.</p>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Certificates of wipes</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _plain(text: str) -> str:
    """For HTML, and without what is not to be seen."""
    return escape(clean(text))


def _section(of: Certificate) -> str:
    lines = "\n".join(f"<tr><th>{_plain(name)}</th><td>{_plain(text)}</td></tr>" for name, text in rows(of))
    not_said = "".join(f"<li>{_plain(each)}</li>" for each in of.says_not)
    return (
        f"<section><h1>Wipe of {_plain(disk(of.disk))}</h1>"
        f'<p class="what">What the record of {_plain(of.node)} certifies</p>\n'
        f"<table>\n{lines}\n</table>\n<h2>What it does not say</h2><ul>{not_said}</ul></section>"
    )
