import io
import json
import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import faust
import pytest
import structlog
from aiokafka.errors import KafkaError

from pipeline import log
from pipeline.application.ports import KafkaDoubt
from pipeline.errors import UserError
from pipeline.log_repeats import Repeats


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is the process's: each test leaves it as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    log.flush()
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:], _ = before
    root.setLevel(before[1])
    for name in log.LIBRARIES:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


class TestJson:
    def test_a_line_an_event_with_what_matters_first(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        structlog.get_logger("any").warning("lane.doubt", why='no "answer"\nyet', reason="redis", lane=3)
        (line,) = out.getvalue().splitlines()
        assert list(json.loads(line)) == ["timestamp", "level", "event", "lane", "reason", "why"]
        assert json.loads(line) | {"timestamp": ""} == {
            "timestamp": "",
            "level": "warning",
            "event": "lane.doubt",
            "lane": 3,
            "reason": "redis",
            "why": 'no "answer"\nyet',
        }
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", json.loads(line)["timestamp"])

    def test_loggers_made_before_are_configured_too(self, out: io.StringIO) -> None:
        early = structlog.get_logger(__name__)
        log.configure("json", "info", out)
        early.info("hello")
        assert lines(out)[0]["event"] == "hello"

    def test_the_level_counts(self, out: io.StringIO) -> None:
        log.configure("json", "warning", out)
        structlog.get_logger().info("quiet")
        logging.getLogger("some.library").info("quiet")
        structlog.get_logger().error("loud")
        assert [line["event"] for line in lines(out)] == ["loud"]

    def test_an_exception_is_text_without_the_values_of_variables(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        secret = "c:" + "4711"
        try:
            raise ValueError(f"{len(secret)} characters")
        except ValueError:
            structlog.get_logger().exception("failed")
        (line,) = lines(out)
        assert "ValueError: 6 characters" in line["exception"]
        assert secret not in out.getvalue()

    def test_values_that_json_does_not_know_do_not_break_a_line(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        structlog.get_logger().info("odd", positions={1: b"x"}, error=KeyError("k"))
        assert lines(out)[0]["event"] == "odd"

    def test_libraries_come_through_the_same_door(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        logging.getLogger("aiokafka.cluster").warning("Topic %s is not available", "raw.web")
        logging.getLogger("aiokafka.cluster").info("hidden")
        (line,) = lines(out)
        assert (line["level"], line["logger"]) == ("warning", "aiokafka.cluster")
        assert line["event"] == "Topic raw.web is not available"


class TestPretty:
    @pytest.mark.parametrize(("format_", "pretty"), [("pretty", True), ("json", False), ("auto", False)])
    def test_auto_is_json_where_there_is_no_terminal(self, out: io.StringIO, format_: Any, pretty: bool) -> None:
        log.configure(format_, "info", out)
        structlog.get_logger().info("lane.taken", lane=3)
        assert out.getvalue().startswith("{") is not pretty
        assert "lane.taken" in out.getvalue()

    def test_auto_is_pretty_on_a_terminal(self) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        out = Terminal()
        log.configure("auto", "info", out)
        structlog.get_logger().info("lane.taken", lane=3)
        assert "\x1b[" in out.getvalue()


class TestReclaim:
    def test_undoes_what_fausts_worker_does(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        app = faust.App("log-test", broker="kafka://127.0.0.1:1")
        # Redirected, sys.stdout would come back whenever the worker is collected: in the middle of another test.
        worker = faust.Worker(app, loglevel="WARN", redirect_stdouts=False)
        worker._setup_logging()
        assert logging.getLogger().level == logging.DEBUG
        log.reclaim()
        logging.getLogger("faust").debug("dropped")
        logging.getLogger("some.library").debug("dropped")
        logging.getLogger("mode.services").error("kept")
        assert [line["event"] for line in lines(out)] == ["kept"]
        assert not logging.getLogger("aiokafka").isEnabledFor(logging.INFO)
        assert not logging.getLogger().isEnabledFor(logging.DEBUG)


class TestIdentities:
    def test_are_short_hashes_that_stay_the_same(self) -> None:
        assert log.anonymised("c:4711") == log.anonymised("c:4711")
        assert log.anonymised("c:4711") != log.anonymised("c:4712")
        assert re.fullmatch(r"~[0-9a-f]{12}", log.anonymised("c:4711"))
        assert log.anonymised(log.anonymised("c:4711")) == log.anonymised("c:4711")

    def test_a_key_makes_them_the_same_everywhere(self, out: io.StringIO) -> None:
        found = []
        for key in (b"one", b"two", b"one"):
            log.configure("json", "info", out, key=key)
            found.append(log.anonymised("c:4711"))
        assert found[0] == found[2] != found[1]

    def test_fields_that_name_a_person_are_never_written(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        structlog.get_logger().info("stage", customer="c:4711", identity=log.anonymised("c:4711"), customer_id=4711)
        assert "4711" not in out.getvalue().replace(log.anonymised("4711"), "").replace(log.anonymised("c:4711"), "")
        assert lines(out)[0]["customer"] == lines(out)[0]["identity"] == log.anonymised("c:4711")


class TestExceptions:
    """`OF_EVENTS` is where events are in hand; this file takes part in it to have something raised there."""

    @pytest.mark.parametrize("format_", ["json", "pretty"])
    def test_words_of_what_had_events_in_hand_are_not_written(
        self, out: io.StringIO, format_: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log, "OF_EVENTS", ("tests/unit/test_log.py",))
        log.configure(format_, "info", out)
        logger, secret = structlog.get_logger(), "anna@" + "example.org"
        try:
            try:
                int(secret)
            except ValueError as error:
                raise KeyError(secret) from error
        except KeyError:
            logger.exception("lane.bug")
            logging.getLogger("some.library").exception("failed")
        try:
            raise ExceptionGroup(secret, [ValueError(secret)])
        except ExceptionGroup:
            logger.exception("worker.failed")
        text = out.getvalue()
        assert "anna" not in text
        assert text.count(log.WITHHELD) == 6
        for kept in ("ValueError: ", "KeyError: ", "ExceptionGroup: ", "test_log.py", "in test_words_of"):
            assert kept in text

    @pytest.mark.parametrize(
        "error", [KafkaDoubt("no answer"), UserError("no answer"), OSError("no answer"), KafkaError("no answer")]
    )
    def test_words_about_connections_and_settings_are(
        self, out: io.StringIO, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log, "OF_EVENTS", ("tests/unit/test_log.py",))
        log.configure("json", "info", out)
        try:
            raise error
        except type(error):
            structlog.get_logger().exception("lane.bug")
        assert "no answer" in lines(out)[0]["exception"]

    def test_a_cause_that_is_suppressed_is_left_out(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        try:
            try:
                raise ValueError("first")
            except ValueError:
                raise KeyError("second") from None
        except KeyError:
            structlog.get_logger().exception("failed")
        assert "first" not in lines(out)[0]["exception"]
        assert "KeyError: 'second'" in lines(out)[0]["exception"]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TestRepeats:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def repeats(self, clock: Clock, out: io.StringIO) -> Repeats:
        repeats = Repeats(window_s=1_000, steps=3, most=5, clock=clock)
        log.configure("json", "debug", out, repeats=repeats)
        return repeats

    def test_the_first_is_written_at_once_and_the_others_summed_up(
        self, repeats: Repeats, clock: Clock, out: io.StringIO
    ) -> None:
        logger = structlog.get_logger()
        for number in range(10_000):
            logger.warning("event.isolated", lane=3, reason="ValueError", position=f"raw.web-3@{number}")
        assert [line["position"] for line in lines(out)] == ["raw.web-3@0"]
        repeats.sum_up()
        assert len(lines(out)) == 1, "its window is not over"
        clock.now = 1_000
        repeats.sum_up()
        assert [(line["position"], line.get("repeated"), line["level"]) for line in lines(out)] == [
            ("raw.web-3@0", None, "warning"),
            ("raw.web-3@9999", 9_999, "warning"),
        ]
        assert lines(out)[1]["timestamp"] >= lines(out)[0]["timestamp"]

    def test_a_flood_that_goes_on_is_a_line_a_window_and_afterwards_it_is_news_again(
        self, repeats: Repeats, clock: Clock, out: io.StringIO
    ) -> None:
        logger = structlog.get_logger()
        for window in range(1, 4):
            for _ in range(5):
                logger.error("lane.doubt", lane=3, reason="redis")
            clock.now = window * 1_000
            repeats.sum_up()
        assert [line.get("repeated") for line in lines(out)] == [None, 4, 5, 5]
        clock.now = 4_000
        repeats.sum_up()
        logger.error("lane.doubt", lane=3, reason="redis")
        assert [line.get("repeated") for line in lines(out)] == [None, 4, 5, 5, None]

    def test_lanes_and_reasons_are_apart(self, repeats: Repeats, out: io.StringIO) -> None:
        logger = structlog.get_logger()
        for _ in range(3):
            for lane, reason in ((3, "redis"), (4, "redis"), (3, "kafka")):
                logger.warning("lane.doubt", lane=lane, reason=reason)
        assert [(line["lane"], line["reason"]) for line in lines(out)] == [(3, "redis"), (4, "redis"), (3, "kafka")]

    def test_some_steps_of_a_life_pass(self, repeats: Repeats, out: io.StringIO) -> None:
        for number in range(5):
            structlog.get_logger().info("lane.taken", lane=3, take=number)
        assert [line["take"] for line in lines(out)] == [0, 1, 2]
        repeats.close()
        assert (lines(out)[3]["take"], lines(out)[3]["repeated"]) == (4, 2)

    def test_libraries_are_counted_by_what_they_say_before_it_is_formatted(
        self, repeats: Repeats, out: io.StringIO
    ) -> None:
        library = logging.getLogger("some.library")
        for number in range(5):
            library.warning("retrying in %d", number)
        repeats.close()
        assert [(line["event"], line.get("repeated")) for line in lines(out)] == [
            ("retrying in 0", None),
            ("retrying in 4", 4),
        ]

    def test_kinds_without_a_bound_share_one_count(self, repeats: Repeats, clock: Clock, out: io.StringIO) -> None:
        for number in range(1_000):
            structlog.get_logger().warning(f"odd {number}")
        assert [line["event"] for line in lines(out)] == [f"odd {number}" for number in range(6)]
        assert len(repeats._kinds) == 6
        clock.now = 1_000
        repeats.sum_up()
        assert (lines(out)[-1]["event"], lines(out)[-1]["repeated"]) == ("odd 999", 994)

    def test_an_exception_is_not_kept_for_the_sum(self, repeats: Repeats, out: io.StringIO) -> None:
        for _ in range(2):
            try:
                raise ValueError("once")
            except ValueError:
                structlog.get_logger().exception("lane.bug")
                logging.getLogger("some.library").exception("failed")
        kept = [kind.last for kind in repeats._kinds.values()]
        assert "ValueError" not in repr(kept)
        repeats.close()
        assert [("exception" in line, line.get("repeated")) for line in lines(out)] == [
            (True, None), (True, None), (False, 1), (False, 1)
        ]  # fmt: skip

    def test_the_end_of_a_flood_is_told_though_nothing_follows(self, out: io.StringIO) -> None:
        told = threading.Event()
        repeats = Repeats(window_s=0.05)
        log.configure("json", "info", out, repeats=repeats)
        write = repeats._write_event

        def write_and_tell(method: str, event: Any) -> None:
            write(method, event)
            told.set()

        repeats.write_by(write_and_tell, repeats._write_record)
        for _ in range(100):
            structlog.get_logger().warning("tick.failed", reason="kafka")
        assert told.wait(10)
        assert sum(line.get("repeated", 1) for line in lines(out)) == 100

    def test_threads_lose_no_count(self, repeats: Repeats, out: io.StringIO) -> None:
        def say() -> None:
            for _ in range(500):
                structlog.get_logger().warning("tick.failed")

        threads = [threading.Thread(target=say) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        repeats.close()
        assert sum(line.get("repeated", 1) for line in lines(out)) == 2_000
