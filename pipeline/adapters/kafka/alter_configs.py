"""IncrementalAlterConfigs (KIP-339), which aiokafka 0.14 lacks.

Its own `alter_configs` sends the older request, which resets every setting of the topic that is not named in it.
"""

from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

API_KEY = 44
TOPIC = 2
SET = 0


class IncrementalAlterConfigsResponseV0(Response):  # type: ignore[misc]  # aiokafka has no types
    """One row a topic; code 0 is good."""

    API_KEY = API_KEY
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "resources",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class IncrementalAlterConfigsRequestV0(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    """As it goes over the wire."""

    API_KEY = API_KEY
    API_VERSION = 0
    RESPONSE_TYPE = IncrementalAlterConfigsResponseV0
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(("name", String("utf-8")), ("config_operation", Int8), ("value", String("utf-8"))),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class IncrementalAlterConfigsRequest(Request[IncrementalAlterConfigsRequestV0]):  # type: ignore[misc]  # aiokafka has no types
    """Sets the given settings of the given topics, topic -> setting -> value, and leaves all others alone."""

    API_KEY = API_KEY

    def __init__(self, topics: dict[str, dict[str, str]]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[IncrementalAlterConfigsRequestV0]) -> Any:
        resources = [
            (TOPIC, topic, [(name, SET, value) for name, value in config.items()])
            for topic, config in self._topics.items()
        ]
        return request_struct_class(resources, False)
