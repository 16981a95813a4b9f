"""Which lane a customer is at home in, by the checker's own reading of Kafka's default partitioner."""

_MULTIPLIER, _SEED, _MASK = 0x5BD1E995, 0x9747B28C, 0xFFFFFFFF


def home_lane(public_key: str, lanes: int) -> int:
    """The partition of a key: murmur2 of its UTF-8 bytes, made positive, modulo the number of lanes."""
    return (murmur2(public_key.encode()) & 0x7FFFFFFF) % lanes


def murmur2(data: bytes) -> int:
    """The 32-bit MurmurHash2 of Kafka's `Utils.murmur2`, as an unsigned number."""
    whole = len(data) & ~3
    found = (_SEED ^ len(data)) & _MASK
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        found = (found * _MULTIPLIER & _MASK) ^ word
    if whole < len(data):
        found = (found ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK
    found = (found ^ found >> 13) * _MULTIPLIER & _MASK
    return found ^ found >> 15
