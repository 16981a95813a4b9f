"""All dashboards, the overview first."""

from typing import Final

from tests.dashboards import journeys, kafka, lanes, overview, redis

BOARDS: Final = (overview.BOARD, lanes.BOARD, kafka.BOARD, redis.BOARD, journeys.BOARD)
