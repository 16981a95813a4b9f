"""Kafka behind the ports: the only place that imports aiokafka."""
