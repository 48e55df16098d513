"""What to type after a demo: commands that work as they are, on what the demo left running."""

import json
import shlex
from collections import Counter
from collections.abc import Iterable

from schemas.judgements import Judgement


def usual(query: str, search: str) -> list[str]:
    """Return commands to try after the whole loop; shoppers asked `query`, and `search` is the API's URL."""
    quoted = shlex.quote(query)
    body = shlex.quote(json.dumps({"text": query, "log": False}, ensure_ascii=False))
    return [
        f"headrace search {quoted}",
        "headrace fields",
        f"headrace judgements show {quoted}",
        "headrace simulate --live --sessions 50",
        "headrace alerts tail",
        f"curl -s {search}/search -H 'content-type: application/json' -d {body}",
        f"open {search}/docs in a browser",
    ]


def learned(*, may_go_back: bool) -> list[str]:
    """Return commands to try after the learning loop; `may_go_back`: a generation was promoted."""
    return [
        "headrace models list",
        "headrace train --jobs",
        "headrace rollout status",
        "headrace alerts tail",
        *(["headrace rollout rollback"] if may_go_back else []),
    ]


def most_shown(judgements: Iterable[Judgement]) -> str | None:
    """Return the query that most products were shown for; None: there was none."""
    shown: Counter[str] = Counter()
    for judgement in judgements:
        shown[judgement.query] += judgement.impressions
    return shown.most_common(1)[0][0] if shown else None
