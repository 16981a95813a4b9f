"""What `journey status` says of versions: nothing as long as all lanes run the first."""

from pipeline.adapters.lanes_seen import LaneSeen, LanesSeen
from pipeline.application.lane_record import CandidateMark, LaneRecord, ModelMark, first_lane_record
from pipeline.cli.status import versions


def seen(*records: LaneRecord) -> LanesSeen:
    lanes = tuple(LaneSeen(place, record, "", None, None, 0, 0, "running", "") for place, record in enumerate(records))
    return LanesSeen("journey", lanes, None, "")


def lane(version: int) -> LaneRecord:
    record = first_lane_record("journey", 2)
    record.models = {"shop": ModelMark(version, "f", "", [], [])}
    return record


def test_what_is_to_be_said_of_versions() -> None:
    assert versions(seen(lane(1), lane(1))) == []
    assert versions(seen(lane(2), lane(2))) == ["shop: version 2 in all lanes"]
    one, two = lane(1), lane(2)
    one.candidate = CandidateMark("p1", "shop", 3, 0, False, "it runs version 1, not 2")
    two.candidate = CandidateMark("p1", "shop", 3, 0, True, "")
    two.carrying = {"shop": 2}
    assert versions(seen(one, two)) == [
        "shop: version 1 in lane 0; version 2 in lane 1",
        "lane 0: version 3 of shop is prepared, but could not run: it runs version 1, not 2",
        "lane 1: version 3 of shop is prepared, and waits for the decision",
        "lane 1: still carries customers of shop over to version 2",
    ]
