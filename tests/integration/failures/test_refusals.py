"""Mistakes that keep a worker from starting: each says where and what, without a traceback."""

from typing import Any

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from tests.harness.application import JOURNEY, Application, some_traffic
from tests.integration.failures.common import refused


def changed(**journey: Any) -> dict[str, Any]:
    return {**JOURNEY, **journey}


def test_wrong_settings_are_refused_with_their_place(app: Application) -> None:
    app.write_settings(partitons=4, latenes="3 weeks")
    refused(app, "settings.yaml:", "did you mean 'partitions'?", "did you mean 'lateness'?")


def test_a_wrong_journey_is_refused_with_its_place(app: Application) -> None:
    app.write_journey(changed(signals={"cart_left": {"after": "1h", "since": "last cart", "unless": "orderd"}}))
    refused(app, "journey.yaml:", "orderd", "did you mean 'ordered'?")


def test_missing_topics_are_refused(app: Application) -> None:
    app.write_settings(prefix="nowhere-")
    refused(app, "nowhere-raw.web", "journey topics apply")


def test_another_number_of_partitions_is_refused(app: Application) -> None:
    app.write_settings(partitions=3)
    refused(app, app.settings.topic("journey.profiles"), "partitions")


def test_a_topic_with_the_senders_time_is_refused(app: Application) -> None:
    admin = AdminClient({"bootstrap.servers": app.settings.brokers})
    topic = app.settings.topic("raw.web")
    change = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    wrong = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[change])
    for done in admin.incremental_alter_configs([wrong]).values():
        done.result(10)
    refused(app, topic, "message.timestamp.type", "LogAppendTime")


def test_a_journey_that_cannot_take_over_its_customers_is_refused(app: Application) -> None:
    worker = app.worker().until_ready()
    some_traffic(app, "first")
    app.assert_right(worker)
    assert worker.stop() == 0
    later = {"cart_left": {**JOURNEY["signals"]["cart_left"], "after": "3h"}}
    app.write_journey(changed(signals=later))
    refused(app, "journey shop", "raise the version in its file")
    app.write_journey(changed(version=2, signals={}))
    refused(app, "journey shop version 2", "cart_left", "another app_id")
    app.write_journey(changed(version=2, signals=later))
    app.worker().until_ready()
