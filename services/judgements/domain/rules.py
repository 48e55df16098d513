"""The rules of a shop: which actions count, for how long, and who is a robot."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import blake2b
from typing import Literal

IMPRESSION = "impression"

ACTIONS: Mapping[str, str] = {
    name: action
    for action, names in {
        IMPRESSION: ("impression", "item_impression", "product_impression"),
        "click": ("click", "item_click", "product_click", "result_click"),
        "view": ("view", "item_view", "product_view", "view_item", "product_detail_view"),
        "watch": ("watch",),
        "add_to_cart": ("add_to_cart", "add_item_to_cart", "cart_add"),
        "purchase": ("purchase", "buy", "order", "checkout"),
        "favourite": ("favourite", "favorite", "add_to_favourites", "add_to_favorites", "wishlist"),
        "share": ("share",),
        "store_visit": ("store_visit", "in_store_visit"),
    }.items()
    for name in names
}
"""UBI `action_name` to the action that is counted."""

ATTRIBUTION: Mapping[str, timedelta] = {
    "click": timedelta(days=1),
    "view": timedelta(days=1),
    "watch": timedelta(days=1),
    "add_to_cart": timedelta(days=7),
    "favourite": timedelta(days=7),
    "share": timedelta(days=7),
    "purchase": timedelta(days=30),
    "store_visit": timedelta(days=30),
}

ROBOT_MARKS = r"(?<![a-z])(?:ro)?bots?(?![a-z])|googlebot|bingbot|crawler|spider|headless|headrace-canar"


@dataclass(frozen=True, kw_only=True)
class JoinRules:
    """What turns queries and events into outcomes; every span is in event time."""

    actions: Mapping[str, str] = field(default_factory=lambda: ACTIONS)
    keep_unknown_actions: bool = False
    attribution: Mapping[str, timedelta] = field(default_factory=lambda: ATTRIBUTION)
    default_attribution: timedelta = timedelta(days=1)
    clock_skew: timedelta = timedelta(hours=1)
    """How long before its query an event may seem to happen (shoppers' clocks are wrong)."""
    impressions: Literal["response", "events"] = "response"
    depth: int = 100
    """How many products of an answer count as shown."""
    grace: timedelta = timedelta(days=7)
    retention: timedelta = timedelta(days=90)
    robot_marks: re.Pattern[str] | None = re.compile(ROBOT_MARKS)
    robot_events: int = 1000
    """A shopper's events an hour in one partition beyond which they are a robot's; 0: no limit."""
    robot_queries: int = 300
    salt: bytes = b"headrace"

    @property
    def longest_attribution(self) -> timedelta:
        """Until when an event may still need its query."""
        return max((*self.attribution.values(), self.default_attribution))

    def action_of(self, name: str) -> str | None:
        """Return the counted action of a UBI `action_name`, or None when it does not count."""
        action = self.actions.get(name) or self.actions.get(name.lower())
        if action is None and self.keep_unknown_actions:
            action = name.lower()
        return None if action == IMPRESSION and self.impressions == "response" else action

    def attributed(self, action: str, after: timedelta) -> bool:
        """Whether an action that long after its query is owed to it."""
        return -self.clock_skew <= after <= self.attribution.get(action, self.default_attribution)

    def is_robot(self, *names: str | None) -> bool:
        """Whether one of the client's names bears the mark of a robot."""
        if self.robot_marks is None:
            return False
        return self.robot_marks.search("\n".join(filter(None, names)).lower()) is not None

    def shopper(self, *names: str | None) -> str:
        """Return sixteen hexadecimal digits for the first name there is; empty when there is none."""
        name = next((name for name in names if name), None)
        return blake2b(name.encode(), key=self.salt, digest_size=8).hexdigest() if name else ""
