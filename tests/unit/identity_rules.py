"""The identities of the default settings as the checker has them, with a key for tests."""

from pipeline.checker.plain_identity import IdentityRules, Kind

RULES = IdentityRules(
    (
        Kind("loyalty", False, "none", None),
        Kind("email", True, "email", None),
        Kind("phone", True, "phone", None),
        Kind("anonymous", False, "none", None),
    ),
    key=b"a key for tests alone",
)
KINDS = tuple(kind.name for kind in RULES.kinds)
