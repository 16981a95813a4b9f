"""Settings of brokers that tests hurt."""

from typing import Final

SHORT_SESSION: Final = {"broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 500}
"""A broker that was killed is back after 2 s instead of 9 s. Elsewhere it would do harm: on a busy machine a healthy
broker misses so short a time, and transactions that end meanwhile may be left hanging (docs/operate.md)."""
