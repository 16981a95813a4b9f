import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.dev.stack import Stack, StackError, reset, running
from pipeline.dev.stack_jars import cache
from pipeline.dev.stack_net import free_port, kafka_ready, redis_ready


def wait_until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.02)


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    [made] = admin.create_topics([NewTopic(topic, 1, 1)]).values()
    made.result(10)
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, value)
    assert producer.flush(10) == 0


def first_value(bootstrap: str, topic: str) -> bytes:
    settings = {"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False}
    with closing(Consumer(settings)) as consumer:
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        message = consumer.poll(20)
    assert message is not None
    assert message.error() is None
    value = message.value()
    assert isinstance(value, bytes)
    return value


def journey(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture
def foreground(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`journey dev` on a directory of this test, its servers ready."""
    process = journey("dev", "--data", str(tmp_path / "data"), "--kafka-port", "0", "--redis-port", "0")
    assert process.stdout is not None
    said = list(itertools.takewhile(lambda line: not line.startswith("Ctrl-C stops both"), process.stdout))
    assert process.poll() is None, said
    yield process
    process.kill()
    process.communicate()
    wait_until(lambda: not servers(tmp_path / "data"))


def servers(directory: Path) -> list[int]:
    """The processes whose command line names the directory's Kafka settings or Redis folder."""
    marks = {str(directory / "kafka.properties"), str(directory / "redis")}
    return [process.pid for process in psutil.process_iter(["cmdline"]) if marks & set(process.info["cmdline"] or ())]


def test_both_servers_answer_and_only_on_loopback(stack: Stack) -> None:
    assert kafka_ready(stack.kafka_port)
    assert redis_ready(stack.redis_port)
    for pid in (stack.kafka_pid, stack.redis_pid):
        listening = {c.laddr.ip for c in psutil.Process(pid).net_connections() if c.status == psutil.CONN_LISTEN}
        assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_redis_keeps_what_it_accepts(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis_url) as client:
        settings = client.config_get("appendonly", "maxmemory-policy")
    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction"}


def test_a_running_stack_is_found_by_its_directory(stack: Stack, tmp_path: Path) -> None:
    found = running(stack.directory)
    assert found is not None
    assert (found.bootstrap, found.redis_url, found.owner) == (stack.bootstrap, stack.redis_url, os.getpid())
    assert running(tmp_path) is None


async def test_an_asynchronous_stack_takes_its_directory_away(prefix: str) -> None:
    async with Stack() as stack:
        directory = stack.directory
        produce(stack.bootstrap, f"{prefix}topic", b"kept")
        pids = [stack.kafka_pid, stack.redis_pid]
    assert not directory.exists()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_data_and_ports_survive_kills_and_a_restart(tmp_path: Path) -> None:
    with Stack(tmp_path / "data") as stack:
        ports = (stack.kafka_port, stack.redis_port)
        produce(stack.bootstrap, "kept", b"before the kill")
        with redis.Redis.from_url(stack.redis_url) as client:
            client.set("kept", "before the kill")
        stack.kill_redis()
        stack.kill_kafka()
        with pytest.raises(StackError, match="kafka is not running"):
            _ = stack.kafka_pid
        stack.start_redis()
        stack.start_kafka()
        assert (stack.kafka_port, stack.redis_port) == ports
        assert first_value(stack.bootstrap, "kept") == b"before the kill"
    with Stack(tmp_path / "data") as stack, redis.Redis.from_url(stack.redis_url) as client:
        assert client.get("kept") == b"before the kill"
        assert first_value(stack.bootstrap, "kept") == b"before the kill"


def test_a_paused_server_keeps_its_connections_and_is_silent(own_stack: Stack) -> None:
    with redis.Redis.from_url(own_stack.redis_url, socket_timeout=0.2) as client:
        client.set("here", 1)
        own_stack.pause("redis")
        with pytest.raises(redis.TimeoutError):
            client.get("here")
        own_stack.resume("redis")
        wait_until(lambda: redis_ready(own_stack.redis_port))
        assert client.get("here") == b"1"
    own_stack.pause("kafka")
    assert not kafka_ready(own_stack.kafka_port)
    own_stack.resume("kafka")
    wait_until(lambda: kafka_ready(own_stack.kafka_port))


def test_a_server_that_ends_by_itself_is_reported(own_stack: Stack) -> None:
    own_stack.wait(0)
    os.kill(own_stack.redis_pid, signal.SIGKILL)
    with pytest.raises(StackError, match="redis ended by itself; its log is"):
        own_stack.wait(10)


def test_killing_the_parent_leaves_no_server_and_no_directory() -> None:
    # One server is paused, so that it cannot answer SIGTERM.
    program = (
        "import json, time; from pipeline.dev.stack import Stack; s = Stack().start(); s.pause('redis');"
        "print(json.dumps([s.kafka_pid, s.redis_pid, str(s.directory)]), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        kafka, server, directory = json.loads(parent.stdout.readline())
        parent.kill()
    wait_until(lambda: not psutil.pid_exists(kafka) and not psutil.pid_exists(server) and not Path(directory).exists())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_foreground_ends_in_order(foreground: subprocess.Popen[str], tmp_path: Path, number: int) -> None:
    foreground.send_signal(number)
    out, err = foreground.communicate(timeout=20)
    assert (foreground.returncode, err) == (0, "")
    assert out == "Stopped.\n"
    assert servers(tmp_path / "data") == []


def test_a_directory_in_use_names_its_owner(foreground: subprocess.Popen[str], tmp_path: Path) -> None:
    expected = f"{tmp_path / 'data'} is in use by process {foreground.pid}; stop that stack first"
    with pytest.raises(StackError, match=expected):
        Stack(tmp_path / "data").start()
    with pytest.raises(StackError, match=expected):
        reset(tmp_path / "data")


def test_a_stack_starts_where_one_was_just_killed(foreground: subprocess.Popen[str], tmp_path: Path) -> None:
    foreground.kill()
    foreground.communicate()
    with Stack(tmp_path / "data") as stack:
        assert kafka_ready(stack.kafka_port)


def test_a_taken_port_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        process = journey("dev", "--data", str(tmp_path / "data"), "--kafka-port", str(port), "--redis-port", "0")
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err == f"journey: port {port} for Kafka is taken; stop what listens there or choose another port\n"
    assert servers(tmp_path / "data") == []


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"Kafka could not format(?s:.*)num\.io\.threads"):
        Stack(tmp_path / "data", props={"num.io.threads": "many"}).start()
    assert servers(tmp_path / "data") == []


def test_reset_removes_a_stopped_stack_and_nothing_else(tmp_path: Path) -> None:
    with Stack(tmp_path / "data"):
        pass
    assert reset(tmp_path / "data")
    assert not (tmp_path / "data").exists()
    assert not reset(tmp_path / "data")
    (tmp_path / "mine.txt").write_text("not a stack's")
    with pytest.raises(StackError, match="holds no data of a stack; nothing was removed"):
        reset(tmp_path)


def test_it_needs_no_java_no_maven_and_no_other_program(tmp_path: Path) -> None:
    program = "from pipeline.dev.stack import Stack\nwith Stack() as s: print('up')"
    bare = {"HOME": str(tmp_path), "PATH": str(tmp_path), "JOURNEY_CACHE": str(cache())}
    done = subprocess.run([sys.executable, "-c", program], env=bare, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("up\n", "")


def test_without_a_network_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "PATH": str(tmp_path)}
    process = journey("dev", "prepare", JOURNEY_CACHE=str(tmp_path / "cache"), **nowhere)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "journey: could not download at.yawk.lz4:lz4-java:" in err
    assert "the proxy cannot be reached" in err
    assert "Check the network, then run the command again" in err
    assert "Traceback" not in err
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]
