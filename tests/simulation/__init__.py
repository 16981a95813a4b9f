"""The real lanes under a simulated Kafka, Redis, group and clock: one case is one schedule (docs/simulation.md)."""
