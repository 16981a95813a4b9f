# The C types of profile.py.
cimport cython

from pipeline.domain.extremes cimport FAR, NEVER
from pipeline.domain.packing cimport Frame, Names


@cython.final
cdef class Event:
    cdef public str id
    cdef public long long at
    cdef public long long appended
    cdef public long long offset
    cdef public int partition
    cdef public str type
    cdef public str touch
    cdef public str channel
    cdef public bytes packed


cpdef bint before(Event one, Event other)


@cython.final
cdef class Track:
    cdef public str stage
    cdef public long long since
    cdef public long long settle_at
    cdef public tuple pending
    cdef public tuple last
    cdef public tuple counts
    cdef public tuple windows


@cython.final
cdef class Position:
    cdef public Frame frame
    cdef public str journey
    cdef public long long version
    cdef public long long seq
    cdef public str stage
    cdef public long long since
    cdef public Track base
    cdef public Track track
    cdef public tuple history
    cdef public int ahead
    cdef public bytes trail
    cdef public tuple fired
    cdef public dict occurrences
    cdef public object closed
    cdef public bint unverified


@cython.final
cdef class Base:
    cdef public str journey
    cdef public long long version
    cdef public Track track


@cython.final
cdef class Strand:
    cdef public Frame frame
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
    cdef public tuple bases
    cdef public list recent


@cython.final
cdef class Links:
    cdef public dict claims
    cdef public tuple blocked
    cdef public dict refused
    cdef public long long life
    cdef public dict lives


@cython.final
cdef class Profile:
    cdef public str key
    cdef public long long epoch
    cdef public Frame frame
    cdef public tuple strands
    cdef public tuple positions
    cdef public object indexed
    cdef public str parked
    cdef public str to
    cdef public Links links


cpdef long long life_of(Profile profile)
@cython.locals(frame=Frame)
cpdef Profile new_profile(str key, long long epoch, Names names=*)
cpdef Strand new_strand(Frame frame, str identity)
cpdef Position new_position(Frame frame, str journey, long long version, Track track)

@cython.locals(made=Event)
cpdef Event event_of(str identifier, long long at, long long appended, int partition, long long offset, str kind, str touch, str channel)

@cython.locals(made=Track)
cpdef Track track_of(str stage, long long since, long long settle_at, tuple pending, tuple last, tuple counts, tuple windows)

@cython.locals(made=Position)
cpdef Position position_of(Frame frame, str journey, long long version, long long seq, str stage, long long since, Track base, Track track, tuple history, int ahead, bytes trail, tuple fired, dict occurrences, object closed, bint unverified)

@cython.locals(made=Strand)
cpdef Strand strand_of(Frame frame, str identity, long long first, long long newest, tuple touches, long long company, long long late, long long unclassified, long long truncated, Event floor, int count, long long oldest, bytes packed, tuple claimed, tuple bases)

@cython.locals(made=Base)
cpdef Base base_of(str journey, long long version, Track track)

@cython.locals(made=Links)
cpdef Links links_of(dict claims, tuple blocked, dict refused, long long life, dict lives)

@cython.locals(made=Profile)
cpdef Profile profile_of(str key, Frame frame, tuple strands, tuple positions, object indexed, str parked, str to, Links links)

