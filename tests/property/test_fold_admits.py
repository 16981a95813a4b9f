"""Which events are accepted, duplicates or late: any arrivals, any lateness, any limit (rules 3 to 5)."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.checker.plain_admission import accepted, act_of, outcomes
from tests.property.random_journeys import TOUCHES
from tests.property.two_folds import CUSTOMER, Sent, TwoFolds, read_models

ARRIVALS = st.lists(
    st.builds(
        lambda number, at, appended, offset: Sent(
            {"id": f"e{number}", "type": "look", "occurred_at": at, "customer_id": CUSTOMER}, "web", appended, 0, offset
        ),
        number=st.integers(0, 30),
        at=st.integers(0, 40),
        appended=st.integers(0, 2),
        offset=st.integers(0, 3),
    ),
    max_size=60,
)


@given(ARRIVALS, st.sampled_from((0, 1, 5, 20, 1_000)), st.sampled_from((1, 2, 3, 5, 64)))
def test_both_folds_admit_the_same(arrivals: list[Sent], lateness: int, limit: int) -> None:
    models = read_models(TOUCHES, (), {})
    folds = TwoFolds(models, lateness, limit)
    kinds = [folds.arrive(sent) for sent in arrivals]
    acts = [act_of(s.event, s.channel, models.rows, s.appended, s.partition, s.offset) for s in arrivals]
    assert outcomes(acts, lateness, limit) == kinds
    assert accepted(acts, lateness, limit) == folds.acts
