"""A document's revisions, as they are shown."""

from typing import Any

from schemas.catalogue import Document


def summaries(document: Document) -> list[dict[str, Any]]:  # Any: JSON
    """Return the revisions as they are shown: what orders each, and the visible fields that it gave."""
    names: dict[int, list[str]] = {}
    for name in document.fields:
        names.setdefault(document.owners.get(name, document.base), []).append(name)
    return [
        {
            "line": revision.line,
            "version": list(revision.version),
            **({"timeline": revision.timeline} if revision.timeline else {}),
            "appended": list(revision.appended),
            "op": revision.op,
            "fields": sorted(names.get(place, ())),
        }
        for place, revision in enumerate(document.revisions)
    ]
