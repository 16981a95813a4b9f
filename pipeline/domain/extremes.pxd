# What extremes.py says, as C constants.

cdef extern from *:
    """
    #define JOURNEY_NEVER (-1LL)
    #define JOURNEY_FAR (1LL << 62)
    """
    const long long NEVER "JOURNEY_NEVER"
    const long long FAR "JOURNEY_FAR"
