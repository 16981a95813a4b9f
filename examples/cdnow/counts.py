"""What the journey of CDNOW's customers must add up to, worked out from the file with nothing but the standard library.

python examples/cdnow/counts.py WHEEL
"""

import io
import json
import sys
import zipfile
from collections import defaultdict
from datetime import date, timedelta
from itertools import pairwise

MEMBER = "lifetimes/datasets/CDNOW_master.txt"
SILENCE = timedelta(days=90)
LAST_DAY = date(1998, 6, 30)


def counts(wheel: str) -> dict[str, int]:
    """Customers, first orders, lapses (more than 90 days without an order) and win-backs (an order after a lapse)."""
    orders: dict[str, list[date]] = defaultdict(list)
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as file:
        rows = io.TextIOWrapper(file, "ascii")
        next(rows)
        for row in rows:
            customer, day, _, _ = row.split()
            orders[customer].append(date(int(day[:4]), int(day[4:6]), int(day[6:])))
    lapses = win_backs = 0
    for days in orders.values():
        days.sort()
        # An order on the 90th day breaks the silence.
        win_backs += sum(later - earlier > SILENCE for earlier, later in pairwise(days))
        lapses += days[-1] + SILENCE <= LAST_DAY
    return {
        "orders": sum(map(len, orders.values())),
        "customers": len(orders),
        "first_orders": len(orders),
        "lapses": win_backs + lapses,
        "win_backs": win_backs,
    }


if __name__ == "__main__":
    print(json.dumps(counts(sys.argv[1])))
