"""`journey ingest`: what rows become, what is refused and why, and what an end mark demands."""

import gzip
import zipfile
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest

from pipeline.adapters.ingest import Ingest, Report
from pipeline.adapters.ingest_mapping import load_mapping
from pipeline.config import Input, Settings
from pipeline.errors import UserError

NOW = 1_767_225_600_000  # 2026-01-01
SHOP = """
    event:
      id: "shop-{row}"
      type: order_placed
      occurred_at: "{when}"
      channel: "{where}"
      customer_id: "{who}"
      properties: {value: "{euro:float}", currency: EUR, pieces: "{pieces:int}"}
"""
ROWS = """\
who,when,where,euro,pieces
c1,2025-01-01T10:00:00Z,web,9.50,1
c2,2025-01-01T11:00:00+01:00,store,20,
"""


class Log:
    """A sink that keeps what it is given: (topic, key, event) or (punctuation, end)."""

    def __init__(self) -> None:
        self.pending = 0
        self.events: list[tuple[str, str, dict[str, object]]] = []
        self.promises: list[tuple[int, bool]] = []

    def add(self, topic: str, key: bytes, value: bytes) -> None:
        self.events.append((topic, key.decode(), msgspec.json.decode(value)))

    async def flush(self) -> None:
        self.pending = 0

    async def punctuate(self, at: int, *, end: bool = False) -> None:
        self.promises.append((at, end))


def mapping_file(folder: Path, text: str) -> Path:
    path = folder / "mapping.yaml"
    path.write_text(dedent(text))
    return path


async def sent(
    folder: Path,
    mapping: str,
    rows: str | bytes,
    *,
    end_mark: int | str | None = None,
    settings: Settings | None = None,
) -> tuple[Log, Report]:
    data = folder / "rows.csv"
    data.write_bytes(rows.encode() if isinstance(rows, str) else rows)
    log = Log()
    loaded = load_mapping(mapping_file(folder, mapping) if mapping else None)
    ingest = Ingest(settings or Settings(clock="event"), loaded, log, end_mark=end_mark, now=NOW)
    return log, await ingest.run([str(data)])


async def test_a_row_becomes_an_event_of_its_channel(tmp_path: Path) -> None:
    log, report = await sent(tmp_path, SHOP, ROWS)
    assert log.events == [
        (
            "raw.web",
            "c1",
            {
                "id": "shop-1",
                "type": "order_placed",
                "customer_id": "c1",
                "occurred_at": "2025-01-01T10:00:00.000Z",
                "properties": {"value": 9.5, "currency": "EUR", "pieces": 1},
            },
        ),
        (
            "raw.store",
            "c2",
            {
                "id": "shop-2",
                "type": "order_placed",
                "customer_id": "c2",
                "occurred_at": "2025-01-01T10:00:00.000Z",
                "properties": {"value": 20.0, "currency": "EUR"},
            },
        ),
    ]
    assert report.sent == {"raw.web": 1, "raw.store": 1}
    assert not report.refused
    assert not log.promises


@pytest.mark.parametrize(
    ("row", "reason", "said"),
    [
        ("c1,2025-01-01T10:00:00Z,web", "not readable", "3 cells where 5 are expected"),
        ('c1,2025-01-01T10:00:00Z,web,"1"2,1', "not readable", "expected after"),
        ("c1,yesterday,web,1,1", "bad time", "yesterday"),
        ("c1,2025-01-01T10:00:00,web,1,1", "bad time", "no offset"),
        ("c1,1969-12-31T23:00:00Z,web,1,1", "bad time", "before 1970"),
        ("c1,,web,1,1", "bad time", "no time is given"),
        (",2025-01-01T10:00:00Z,web,1,1", "no identity", "nobody"),
        ("anonymous:7,2025-01-01T10:00:00Z,web,1,1", "bad identity", "another kind"),
        ("c1,2025-01-01T10:00:00Z,fax,1,1", "unknown channel", "fax"),
        ("c1,2025-01-01T10:00:00Z,web,dear,1", "bad value", "euro is 'dear'; a number"),
        ("c1,2025-01-01T10:00:00Z,web,1,1.5", "bad value", "pieces is '1.5'; a whole number"),
    ],
)
async def test_a_bad_row_is_refused_with_its_place_and_the_rest_goes_on(
    tmp_path: Path, row: str, reason: str, said: str
) -> None:
    log, report = await sent(tmp_path, SHOP, ROWS + row + "\nc3,2025-01-02T10:00:00Z,web,1,1\n")
    assert report.refused == {reason: 1}
    assert report.examples[0].startswith(f"{tmp_path / 'rows.csv'}:4: ")
    assert said in report.examples[0]
    assert [event["id"] for _, _, event in log.events] == ["shop-1", "shop-2", "shop-4"]


async def test_bytes_of_another_encoding_are_refused(tmp_path: Path) -> None:
    log, report = await sent(tmp_path, SHOP, ROWS.encode() + b"\xe9ve,2025-01-02T10:00:00Z,web,1,1\n")
    assert report.refused == {"not UTF-8": 1}
    assert len(log.events) == 2


TIMES = """
    {layout}
    time: {time}
    event: {{id: "{{row}}", type: t, occurred_at: "{{at}}", channel: web, customer_id: "{{who}}"}}
"""


@pytest.mark.parametrize(
    ("layout", "time", "rows"),
    [
        ("delimiter: ';'", "{format: '%d.%m.%Y %H:%M', zone: Europe/Warsaw}", "at;who\n01.07.2025 12:00;c1\n"),
        ("delimiter: whitespace", "{format: '%Y%m%d%H'}", "  at    who\n  2025070110   c1\r\n"),
        ("header: false\n    columns: [at, who]", "{format: iso, zone: Europe/Istanbul}", "2025-07-01 13:00,c1\n"),
        ("header: false\n    columns: {who: 1-2, at: 3-12}", "{format: epoch_s}", "c11751364000\n"),
        ("columns: [at, who]", "{format: epoch_ms}", "time,user\n1751364000000,c1\n"),
        ("format: jsonl", "{format: rfc3339}", '{"at": 1751364000000, "who": "c1"}\n\n'),
        ("format: jsonl", "{format: rfc3339}", '{"at": "2025-07-01T10:00:00Z", "who": "c1"}\n'),
    ],
)
async def test_files_are_laid_out_in_many_ways(tmp_path: Path, layout: str, time: str, rows: str) -> None:
    log, report = await sent(tmp_path, TIMES.format(layout=layout, time=time), rows)
    assert report.examples == []
    ((_, key, event),) = log.events
    assert (key, event["occurred_at"]) == ("c1", "2025-07-01T10:00:00.000Z")


async def test_events_as_json_lines_need_no_mapping(tmp_path: Path) -> None:
    event = {
        "id": "e1",
        "type": "page_viewed",
        "identities": {"anonymous": "ab12"},
        "occurred_at": "2025-01-01T10:00:00.000Z",
        "properties": {"path": "/pricing", "deep": {"er": [1]}},
    }
    line = msgspec.json.encode(event | {"channel": "web"}).decode()
    log, _ = await sent(tmp_path, "", f'{line}\n{{"id": 1\n[]\n{line}\n')
    assert log.events == [("raw.web", "anonymous:ab12", event)] * 2


async def test_json_lines_are_reached_by_paths(tmp_path: Path) -> None:
    mapping = """
        format: jsonl
        event:
          id: "{order.no}-{line}"
          type: order_placed
          occurred_at: "{at}"
          channel: web
          identities: {anonymous: "{user.cookie}"}
          properties: "{order}"
    """
    log, _ = await sent(tmp_path, mapping, '{"order": {"no": 7, "sum": 1.5}, "at": 0, "user": {"cookie": "x"}}\n')
    assert log.events[0][1] == "anonymous:x"
    assert log.events[0][2]["id"] == "7-1"
    assert log.events[0][2]["properties"] == {"no": 7, "sum": 1.5}


async def test_one_topic_for_all_channels_names_the_channel_in_the_event(tmp_path: Path) -> None:
    settings = Settings(clock="event", prefix="x.", inputs=(Input(topic="all", channel_field="via"),))
    log, _ = await sent(tmp_path, SHOP, ROWS, settings=settings)
    assert [(topic, event["via"]) for topic, _, event in log.events] == [("x.all", "web"), ("x.all", "store")]


@pytest.mark.parametrize("inside", ["", "data/rows.csv", "data/rows.csv.gz"])
async def test_reads_packed_files(tmp_path: Path, inside: str) -> None:
    path = tmp_path / ("rows.whl" if inside else "rows.csv.gz")
    content = gzip.compress(ROWS.encode()) if inside.endswith(".gz") or not inside else ROWS.encode()
    if inside:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(inside, content)
    else:
        path.write_bytes(content)
    log = Log()
    ingest = Ingest(Settings(clock="event"), load_mapping(mapping_file(tmp_path, SHOP)), log)
    await ingest.run([f"{path}!{inside}" if inside else str(path)])
    assert len(log.events) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("row.csv", "no such file; did you mean '.*rows.csv'"),
        ("a.zip", "is an archive; name the file in it: '.*a.zip!in/rows.csv'"),
        ("a.zip!in/row.csv", "holds no 'in/row.csv'; did you mean 'in/rows.csv'"),
        ("rows.csv!x", "no zip archive"),
        ("torn.gz", "damaged after row"),
    ],
)
async def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "torn.gz").write_bytes(gzip.compress((ROWS * 50).encode())[:60])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/rows.csv", ROWS)
    ingest = Ingest(Settings(clock="event"), load_mapping(mapping_file(tmp_path, SHOP)), Log())
    with pytest.raises(UserError, match=said):
        await ingest.run([str(tmp_path / name)])


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (SHOP.replace("{who}", "{woh}"), "mapping.yaml:7:16: unknown column 'woh'; did you mean 'who'"),
        (SHOP.replace("{row}", "{row"), "mapping.yaml:3:7: id must have a name between braces"),
        (SHOP.replace("float", "flaot"), "properties"),
        (SHOP.replace("type:", "tpye:"), "did you mean 'type'"),
        (SHOP.replace("    customer_id", "    #"), "customer_id or identities"),
        ("delimiter: tab\n" + dedent(SHOP), "must be one character"),
        ("header: false\n" + dedent(SHOP), "must say its `columns`"),
        ("time: {zone: Europe/Warsav}\n" + dedent(SHOP), "did you mean 'Europe/Warsaw'"),
        ("columns: {who: 7}\n" + dedent(SHOP), "who"),
    ],
)
async def test_a_mistake_in_the_mapping_is_shown_with_its_place(tmp_path: Path, mapping: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        await sent(tmp_path, mapping, ROWS)
    assert said in raised.value.message
    assert "mapping.yaml:" in raised.value.message


async def test_row_numbers_of_several_files_must_not_meet(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    (tmp_path / "b.csv").write_text(ROWS)
    files = [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    with pytest.raises(UserError, match=r"put \{file\} into the id"):
        await Ingest(Settings(clock="event"), load_mapping(mapping_file(tmp_path, SHOP)), Log()).run(files)
    log = Log()
    mapping = load_mapping(mapping_file(tmp_path, SHOP.replace("{row}", "{file}-{row}")))
    await Ingest(Settings(clock="event"), mapping, log).run(files)
    assert [event["id"] for _, _, event in log.events] == ["shop-a-1", "shop-a-2", "shop-b-1", "shop-b-2"]


UNSORTED = """\
who,when,where,euro,pieces
c1,2025-01-03T00:00:00Z,web,1,1
c2,2025-01-01T00:00:00Z,web,1,1
c3,2025-01-03T00:00:00Z,web,1,1
"""
THIRD = 1_735_862_400_000  # 2025-01-03


async def test_an_end_mark_wants_order(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rows.csv:3: 2025-01-01T.* comes after 2025-01-03T.*rows.csv:2.*sort"):
        await sent(tmp_path, SHOP, UNSORTED, end_mark="last")


async def test_sorting_is_stable_and_ids_keep_the_place_in_the_file(tmp_path: Path) -> None:
    log, report = await sent(tmp_path, "sort: occurred_at\n" + dedent(SHOP), UNSORTED, end_mark="last")
    assert [event["id"] for _, _, event in log.events] == ["shop-2", "shop-1", "shop-3"]
    assert log.promises == [(THIRD, True)]
    assert report.end == THIRD


async def test_nothing_lies_behind_the_end_mark(tmp_path: Path) -> None:
    rows = ROWS + "c1,2025-01-03T00:00:00Z,web,1,1\n"
    log, report = await sent(tmp_path, SHOP, rows, end_mark=THIRD - 1)
    assert report.refused == {"after the end mark": 1}
    assert len(log.events) == 2
    assert log.promises == [(THIRD - 1, True)]


async def test_the_live_clock_takes_neither_history_nor_future(tmp_path: Path) -> None:
    times = ("2025-12-30T23:00:00Z", "2025-12-31T01:00:00Z", "2026-01-01T00:04:00Z", "2026-01-01T00:06:00Z")
    rows = "who,when,where,euro,pieces\n" + "".join(f"c1,{time},web,1,1\n" for time in times)
    log, report = await sent(tmp_path, SHOP, rows, settings=Settings())
    assert report.refused == {"too old for the live clock": 1, "in the future": 1}
    assert "clock: event" in report.examples[0]
    assert [event["id"] for _, _, event in log.events] == ["shop-2", "shop-3"]


async def test_promises_only_what_no_later_row_can_break(tmp_path: Path) -> None:
    class Small(Log):
        """Has so much waiting that every row is flushed."""

        async def punctuate(self, at: int, *, end: bool = False) -> None:
            self.promises.append((at, end))
            self.events.append(("", str(at), {}))

    log = Small()
    log.pending = 10_000_000
    data = tmp_path / "rows.csv"
    data.write_text(UNSORTED)
    mapping = load_mapping(mapping_file(tmp_path, "sort: occurred_at\n" + dedent(SHOP)))
    await Ingest(Settings(clock="event"), mapping, log, end_mark="last").run([str(data)])
    first = THIRD - 2 * 86_400_000
    assert log.promises == [(first - 1, False), (THIRD - 1, False), (THIRD - 1, False), (THIRD, True)]
