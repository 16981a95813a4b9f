"""Whom an event names: one spelling of each value, personal ones hashed, what identifies nobody passed over."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from pipeline.adapters.identity_kinds import (
    identities_for_people,
    identities_of,
    typed_key,
)
from pipeline.checker.plain_identity import IdentityRules, names
from pipeline.cli.check_lane import rules_of
from pipeline.config import IdentityKind, NeverIdentify, Settings
from pipeline.domain import identity
from pipeline.domain.identity import public_key
from pipeline.errors import UserError

KEY = "k" * 32
GERMAN = (IdentityKind(kind="phone", personal=True, normalise="phone", region="DE"),)
SETTINGS = Settings(identity_key=SecretStr(KEY))
IDENTITIES = identities_of(SETTINGS)


def hashed(text: str, key: str = KEY) -> str:
    kind = text.partition(":")[0]
    return f"{kind}:{hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]}"


def key_of(kind: str, value: str, of: Settings = SETTINGS) -> str:
    found, why = identities_of(of).look_up(kind, value)
    return found or str(why)


ANNA = hashed("email:anna@example.org")


@pytest.mark.parametrize(
    "value",
    [
        "anna@example.org",
        "Anna@Example.ORG",
        "  anna@example.org ",
        "ＡＮＮＡ＠ｅｘａｍｐｌｅ．ｏｒｇ",
        "𝐚𝐧𝐧𝐚@example.org",
    ],
)
def test_an_address_has_one_key_however_it_is_spelt(value: str) -> None:
    assert key_of("email", value) == ANNA


@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        ("anna+news@example.org", "anna+news@example.org"),
        ("an.na@example.org", "an.na@example.org"),
        ("аnna@example.org", "аnna@example.org"),
        ("anna🎉@example.org", "anna🎉@example.org"),
        ("anna@xn--bcher-kva.example", "anna@bücher.example"),
        ("anna@BÜCHER.example", "anna@bücher.example"),
    ],
)
def test_what_may_be_somebody_else_has_another_key(value: str, spelling: str) -> None:
    assert key_of("email", value) == hashed(f"email:{spelling}") != ANNA


@pytest.mark.parametrize(
    "value", ["+49 30 901820", "030/901820", "(030) 90-18-20", "0049 30 901820", "０３０ ９０１８２０"]
)
def test_a_number_has_one_key_however_it_is_written(value: str) -> None:
    german = Settings(identities=GERMAN, identity_key=SecretStr(KEY))
    assert key_of("phone", value, german) == hashed("phone:+4930901820")


def test_without_a_region_only_numbers_with_their_country_count() -> None:
    assert key_of("phone", "030 901820") == "invalid"
    assert key_of("phone", "+49 30 901820 ext. 7") == hashed("phone:+4930901820")


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        ("email", "", "invalid"),
        ("email", "anna", "invalid"),
        ("email", "anna@", "invalid"),
        ("email", "Anna <anna@example.org>", "invalid"),
        ("email", "anna@example.org\0", "invalid"),
        ("email", "anna\u200b@example.org", "invalid"),
        ("email", "a" * 4096, "invalid"),
        ("email", "a" * 4096 + "@example.org", "invalid"),
        ("email", "null", "never_identifies"),
        ("phone", "0000", "never_identifies"),
        ("phone", "000 00-00", "never_identifies"),
        ("phone", "call me", "invalid"),
        ("phone", "+1", "invalid"),
        ("phone", "☎", "invalid"),
        ("loyalty", "Unknown", "never_identifies"),
        ("loyalty", "ＵＮＫＮＯＷＮ", "never_identifies"),
        ("loyalty", " ", "never_identifies"),
        ("anonymous", "00000000-0000-0000-0000-000000000000", "never_identifies"),
        ("anonymous", "a\0b", "invalid"),
        ("anonymous", "x" * 257, "invalid"),
        ("c", "undefined", "never_identifies"),
        ("c", "N/A", "never_identifies"),
        ("c", "email:anna", "invalid"),
        ("shoe_size", "44", "unknown_kind"),
    ],
)
def test_what_does_not_count(kind: str, value: str, why: str) -> None:
    assert key_of(kind, value) == why
    assert key_of(kind, value) == why


@pytest.mark.parametrize(
    ("kind", "value", "key"),
    [
        ("anonymous", "Ab12", "anonymous:Ab12"),
        ("anonymous", "🎉", "anonymous:🎉"),
        ("loyalty", " TR-0012", "loyalty:tr-0012"),
        ("loyalty", "ＴＲ-0012", "loyalty:tr-0012"),
        ("c", "Anna", "c:Anna"),
        ("c", "00001", "c:00001"),
        ("c", "shoe_size:44", "c:shoe_size:44"),
    ],
)
def test_what_is_not_personal_stays_readable(kind: str, value: str, key: str) -> None:
    assert key_of(kind, value) == key


def test_the_own_list_of_nobody() -> None:
    never = NeverIdentify(values=("+4930901820", "INFO@shop.example"), patterns=("test.*",))
    own = Settings(identity_key=SecretStr(KEY), never_identify=never)
    assert key_of("phone", "+49 (30) 901820", own) == "never_identifies"
    assert key_of("email", "info@Shop.example", own) == "never_identifies"
    assert key_of("anonymous", "Test-17", own) == "never_identifies"
    assert key_of("anonymous", "null", own) == "anonymous:null"


def test_another_key_or_kind_is_another_hash() -> None:
    other = Settings(identity_key=SecretStr("o" * 32))
    assert key_of("email", "anna@example.org", other) == hashed("email:anna@example.org", "o" * 32) != ANNA
    two = (
        IdentityKind(kind="home", personal=True, normalise="phone"),
        IdentityKind(kind="work", personal=True, normalise="phone"),
    )
    both = Settings(identities=two, identity_key=SecretStr(KEY))
    home, work = (key_of(kind, "+4930901820", both).partition(":")[2] for kind in ("home", "work"))
    assert home != work


@pytest.mark.parametrize(
    ("customer", "identities", "keys", "ignored"),
    [
        ("anna", None, ["c:anna"], []),
        ("anna", {}, ["c:anna"], []),
        ("anna", {"anonymous": "ab", "email": "anna@example.org"}, ["c:anna", ANNA, "anonymous:ab"], []),
        (None, {"anonymous": "a", "loyalty": "7", "email": "anna@example.org"}, ["loyalty:7", ANNA, "anonymous:a"], []),
        ("null", {"email": "anna@example.org"}, [ANNA], [("c", "never_identifies")]),
        ("anna", {"email": "?", "shoe": "4"}, ["c:anna"], [("email", "invalid"), ("shoe", "unknown_kind")]),
        (None, {"email": "?"}, [], [("email", "invalid")]),
        (None, None, [], []),
    ],
)  # fmt: skip
def test_the_strongest_comes_first(
    customer: str | None, identities: dict[str, str] | None, keys: list[str], ignored: list[Any]
) -> None:
    found = IDENTITIES.of(customer, identities)
    assert [key for key in (found.primary, *found.others) if key] == keys
    assert list(found.ignored) == ignored


def test_what_was_worked_out_is_remembered_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def normalise(value: str) -> str:
        asked.append(value)
        return value

    made = identity.Identities((identity.Kind("card", False, normalise),), lambda _: False, lambda _: "")
    assert {made.look_up("card", "7") for _ in range(3)} == {("card:7", None)}
    assert asked == ["7"]
    monkeypatch.setattr(identity, "_REMEMBERED", 4, raising=True)
    for number in range(50):
        made.look_up("card", str(number))
    assert 0 < len(made._found["card"]) <= 4


TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["null", "0000", "anna@example.org", "ANNA@example.org", "+49 30 901820", "email:x", "7", "\0", "é"]
    ),
    st.emails(),
    st.from_regex(r"[+]?[0-9 /()-]{3,18}", fullmatch=True),
)


BOTH = [
    (identities_of(each), rules_of(each).identities)
    for each in (SETTINGS, Settings(identities=GERMAN, identity_key=SecretStr(KEY)))
]


@given(
    st.one_of(st.none(), TEXTS),
    st.dictionaries(st.sampled_from(["loyalty", "email", "phone", "anonymous", "shoe"]), TEXTS),
    st.sampled_from(BOTH),
)
@settings(deadline=None)
def test_the_checker_reads_the_same(
    customer: str | None, identities: dict[str, str], both: tuple[identity.Identities, IdentityRules]
) -> None:
    ours, theirs = both
    found = ours.of(customer, identities)
    keys = [public_key(key) for key in (found.primary, *found.others) if key]
    assert names({"customer_id": customer, "identities": identities}, theirs) == keys


# ---- what people type


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("anna", "c:anna"),
        ("anonymous:Ab12", "anonymous:Ab12"),
        ("email:Anna@example.org", ANNA),
        (ANNA, ANNA),
        ("phone:+49 30 901820", hashed("phone:+4930901820")),
        ("shoe:44", "c:shoe:44"),
    ],
)
def test_people_type_what_they_know(text: str, key: str) -> None:
    assert typed_key(SETTINGS, text) == key


@pytest.mark.parametrize("text", ["email:anna", "phone:0000", "anonymous:"])
def test_people_are_told_what_is_nobody(text: str) -> None:
    with pytest.raises(UserError, match=f"{text}: {text.partition(':')[0]}: a value that"):
        typed_key(SETTINGS, text)


# ---- the key


def test_without_a_key_no_worker_starts() -> None:
    with pytest.raises(UserError) as refused:
        identities_of(Settings())
    assert "email and phone must be hashed" in refused.value.message
    assert "openssl rand -hex 32" in refused.value.message
    assert "JOURNEY_IDENTITY_KEY" in refused.value.message


def test_without_a_personal_kind_none_is_needed() -> None:
    kinds = (IdentityKind(kind="anonymous"),)
    assert key_of("anonymous", "a", Settings(identities=kinds)) == "anonymous:a"


def test_a_person_needs_it_only_for_whom_it_hides() -> None:
    assert typed_key(Settings(), "4711") == "c:4711"
    assert typed_key(Settings(), ANNA) == ANNA
    assert identities_for_people(Settings()).of("4711", {"anonymous": "a"}).others == ("anonymous:a",)
    with pytest.raises(UserError, match="no key to hash by"):
        typed_key(Settings(), "email:anna@example.org")


def test_the_key_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    path.write_text(f"{KEY}\n")
    assert key_of("email", "anna@example.org", Settings(identity_key_file=str(path))) == ANNA


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"short", "at least 32 characters"), (b"\xff", "it is no text")],
)  # fmt: skip
def test_a_file_that_holds_no_key(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "identity.key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        identities_of(Settings(identity_key_file=str(path)))


def test_the_key_is_never_shown() -> None:
    shown = [repr(SETTINGS), str(SETTINGS), str(SETTINGS.model_dump()), SETTINGS.model_dump_json()]
    assert not [text for text in shown if KEY in text]
