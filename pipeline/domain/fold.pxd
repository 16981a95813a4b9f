# The C types of fold.py.
cimport cython

from pipeline.domain.compile cimport Journey, Timer
from pipeline.domain.encoding cimport remember
from pipeline.domain.extremes cimport FAR, NEVER
from pipeline.domain.profile cimport Event, Position, Profile, Strand, Track, before, new_position, track_of
from pipeline.domain.remembered cimport append, forget, insert, older, recent_of, remembers
from pipeline.domain.strands cimport absorb, absorb_one, add, boundary, closed_of, comes_last, find, found_or_made, is_empty, is_shut, newest_of, note_bases, open_to, own_base, put_base, remembered_of, settle_bases, shut
from pipeline.domain.track cimport project, settle, step, wake, without_final


cdef class Fold:
    cdef readonly tuple journeys
    cdef public list _names
    cdef public object _company
    cdef public long long _lateness
    cdef public int _limit
    cdef public dict carries

    @cython.locals(strands=tuple, strand=Strand, at=cython.longlong, in_order=cython.bint, newest=cython.longlong,
                   known=cython.longlong)
    cpdef str event(self, Profile profile, str identity, Event event, object watermark, object feed)

    @cython.locals(other=Strand, strand=Strand, newest=cython.longlong, at=cython.longlong, known=cython.longlong)
    cpdef str _among(self, Profile profile, str identity, Event event, object watermark, object feed)

    @cython.locals(at=cython.longlong, touch=str)
    cpdef object _count(self, Strand strand, Event event, object feed)

    @cython.locals(horizon=cython.longlong, soonest=cython.longlong, journey=Journey, position=Position)
    cpdef object time(self, Profile profile, long long watermark, object feed)

    @cython.locals(horizon=cython.longlong, count=cython.int, expired=cython.int, journey=Journey, position=Position,
                   track=Track, entries=list, stepped=Track, pending=tuple)
    cpdef object _append(self, Profile profile, Strand strand, Event event, long long last, long long watermark,
                         object feed)

    @cython.locals(horizon=cython.longlong, journey=Journey, position=Position, entries=list)
    cpdef object _insert(self, Profile profile, Strand strand, Event event, long long watermark, object feed)

    @cython.locals(oldest=Event, gone=list, journey=Journey, position=Position, entries=list)
    cpdef object _overflow(self, Profile profile, Strand strand)

    @cython.locals(gone=list, strand=Strand, journey=Journey, position=Position)
    cpdef list _expire(self, Profile profile, long long horizon, long long watermark)

    @cython.locals(track=Track, ready=list, kept=cython.int, by_events=cython.int)
    cpdef Track _time_passed(self, Profile profile, Journey journey, Position position, list entries, list old,
                             long long horizon, long long watermark, object feed)

    @cython.locals(newest=cython.longlong, kept=list, timer=Timer)
    cpdef object _signals(self, Profile profile, Journey journey, Position position, list ready, long long horizon,
                          long long watermark, object feed)


cdef Track _refold(Journey journey, Track base, list events, list entries)

@cython.locals(changed=list)
cdef tuple _one_more(tuple touches, int channel)

cdef list _ahead(Position position)

@cython.locals(soonest=cython.longlong)
cdef object _index(Profile profile, Journey journey, Track track, long long watermark, object feed)

cdef object _publish(Profile profile, Journey journey, Position position, str kind, object entry, str to, tuple supersedes,
                     object feed)

@cython.locals(timer=Timer)
cdef object _publish_signal(Profile profile, Journey journey, Position position, str kind, object firing, long long newest,
                            long long watermark, object feed)

@cython.locals(final=cython.int, history=tuple)
cdef object _let_go(Position position, long long horizon)
