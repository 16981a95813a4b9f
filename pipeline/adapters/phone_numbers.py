"""Telephone numbers in their one spelling, E.164."""

from pipeline.adapters.yaml_files import unknown


def phone_region(region: str) -> str:
    """A region that numbers can be read in, as ISO 3166 calls it; a pydantic error if it is none."""
    from phonenumbers import SUPPORTED_REGIONS

    if region not in SUPPORTED_REGIONS:
        raise unknown("region", region, tuple(sorted(SUPPORTED_REGIONS)))
    return region


def normalised_phone(value: str, region: str | None) -> str:
    """The number in E.164, read as one of `region` where it has no country code; ValueError if it cannot be one.

    Only its length must be possible: which numbers are assigned changes with every version of the library, and what
    is replayed must be folded as it was.
    """
    from phonenumbers import NumberParseException, PhoneNumberFormat, format_number, is_possible_number, parse

    try:
        number = parse(value, region)
    except NumberParseException as error:
        raise ValueError("no telephone number") from error
    if not is_possible_number(number):
        raise ValueError("no telephone number of a possible length")
    number.extension = None
    return format_number(number, PhoneNumberFormat.E164)
