"""Columns of custom variables, and hashes, arrive in PostgreSQL in types of their own."""

import hashlib
import hmac
from datetime import datetime
from decimal import Decimal
from typing import Any

from fullstory_emulator import Bundle, Emulator
from tests.end_to_end.pipeline import Pipeline

DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z


def bundle(day: int, **members: Any) -> Bundle:
    """A bundle with one event."""
    start = FIRST + day * DAY
    moment = f"2023-11-{15 + day}T08:00:00Z"
    return Bundle(start, start + DAY, [{"EventStart": moment, "UserEmail": "a@b.c", "EventType": "click", **members}])


def test_columns_that_come_later_are_added_and_filled(pipeline: Pipeline, shop: Emulator) -> None:
    """Whoever gives variables columns would have to load everything anew, or find them empty or of another type."""
    members = {
        "user_plan_str": "pro", "evt_order.items_int": 2**62 + 1, "evt_order.total_real": 0.1, "user_on_bool": True,
        "user_since_date": "2023-01-01T01:00:00.5+01:00", "evt_tags_strs": ["a", 5], "evt_n_int": 2.5,
    }  # fmt: skip
    shop.bundles = [bundle(0, **members)]
    first = pipeline.run()
    shop.bundles = [*shop.bundles, bundle(1, **members), bundle(2)]
    pipeline.settings = {
        "custom_columns": [*members],
        "hash_columns": ["UserEmail"],
        "hash_key": "pepper",
        "custom_vars_exclude": ["evt_n*"],
    }

    pipeline.run(first.states[-1])

    before, after, without = sorted(pipeline.rows(), key=lambda row: row["EventStart"])
    names = [name.replace(".", "_") for name in members]
    assert [None] * 7 == [before[name] for name in names] == [without[name] for name in names]
    assert before["CustomVars"] is not None and after["CustomVars"] is None, "what does not fit is left out"
    total = after.pop("evt_order_total_real")
    assert Decimal("0.1") == Decimal(repr(float(total)))
    assert {
        "user_plan_str": "pro",
        "evt_order_items_int": 2**62 + 1,
        "user_on_bool": True,
        "user_since_date": datetime(2023, 1, 1, 0, 0, 0, 500_000),
        "evt_tags_strs": '["a",5]',
        "evt_n_int": None,
    } == {name: after[name] for name in names if name in after}
    digest = hmac.new(b"pepper", b"a@b.c", hashlib.sha256).hexdigest()
    assert ["a@b.c", digest, digest] == [row["UserEmail"] for row in (before, after, without)]
