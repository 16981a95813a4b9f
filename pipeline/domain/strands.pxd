# The C types of strands.py.
cimport cython

from pipeline.domain.compile cimport Journey
from pipeline.domain.extremes cimport NEVER
from pipeline.domain.profile cimport Base, Event, Position, Profile, Strand, Track, base_of, before, event_of, new_strand
from pipeline.domain.remembered cimport forget, recent_of
from pipeline.domain.track cimport settle, step, without_final


@cython.locals(newest=cython.longlong, strand=Strand)
cpdef long long newest_of(Profile profile)

@cython.locals(events=list, strand=Strand)
cpdef list remembered_of(Profile profile)

@cython.locals(strand=Strand)
cpdef Strand find(Profile profile, str identity)

@cython.locals(strand=Strand)
cpdef bint claims_all(Profile profile, str customer, tuple named)

@cython.locals(strand=Strand)
cpdef Strand found_or_made(Profile profile, str identity)

cpdef object add(Profile profile, Strand strand)
cpdef bint is_empty(Strand strand)

@cython.locals(only=Strand)
cpdef object note_bases(Profile profile)

cpdef bint is_blank(Track track)

@cython.locals(base=Base)
cpdef Track own_base(Strand strand, Journey journey)

@cython.locals(base=Base, others=list)
cpdef object put_base(Strand strand, Journey journey, Track track)

@cython.locals(closed=cython.longlong, position=Position)
cpdef long long closed_of(Profile profile)

cpdef Event boundary(long long at)

@cython.locals(strand=Strand)
cpdef bint is_shut(Profile profile, Event event)

@cython.locals(strand=Strand)
cpdef bint comes_last(Profile profile, Event event)

cpdef object shut(Strand strand, long long until)

@cython.locals(gone=list, strand=Strand, last=Event)
cpdef list absorb(Profile profile, Event until, tuple journeys, long long horizon, long long watermark)

@cython.locals(strand=Strand, journey=Journey, track=Track)
cpdef object settle_bases(Profile profile, tuple journeys, long long before)

@cython.locals(gone=list, event=Event, journey=Journey, place=cython.int, track=Track)
cpdef list absorb_one(Strand strand, Event until, tuple journeys, tuple positions, long long horizon, long long watermark)

cpdef list open_to(Position position, list events)
