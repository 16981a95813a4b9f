# The C types of profile.py.
cimport cython

from pipeline.domain.moments cimport FAR, NEVER


@cython.final
cdef class Event:
    cdef readonly str id
    cdef readonly long long at
    cdef readonly long long appended
    cdef readonly long long offset
    cdef readonly int partition
    cdef readonly str type
    cdef readonly str touch
    cdef readonly str channel
    cdef public bytes packed


cpdef bint before(Event one, Event other)


@cython.final
cdef class Track:
    cdef readonly str stage
    cdef readonly long long since
    cdef readonly long long settle_at
    cdef readonly tuple pending
    cdef readonly tuple last
    cdef readonly tuple counts
    cdef readonly tuple windows
    cdef public bytes packed


@cython.final
cdef class Position:
    cdef public str journey
    cdef public long long version
    cdef public long long seq
    cdef public str stage
    cdef public long long since
    cdef public Track base
    cdef public bytes packed_base
    cdef public Track track
    cdef public tuple history
    cdef public int ahead
    cdef public bytes trail
    cdef public tuple fired
    cdef public dict occurrences


@cython.final
cdef class Strand:
    cdef public str identity
    cdef public long long first
    cdef public long long newest
    cdef public tuple touches
    cdef public long long company
    cdef public long long late
    cdef public long long unclassified
    cdef public long long truncated
    cdef public Event floor
    cdef public int count
    cdef public long long oldest
    cdef public bytes packed
    cdef public tuple claimed
    cdef public list recent


@cython.final
cdef class Profile:
    cdef public str key
    cdef public long long epoch
    cdef public tuple strands
    cdef public tuple positions
    cdef public object indexed
    cdef public str parked
    cdef public str to


cpdef Profile new_profile(str key, long long epoch)
cpdef Position new_position(str journey, long long version, Track track)
