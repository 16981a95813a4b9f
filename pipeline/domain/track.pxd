# The C types of track.py.
cimport cython

from pipeline.domain.compile cimport Journey, Move, Row, Timer, Trigger
from pipeline.domain.extremes cimport FAR, NEVER
from pipeline.domain.profile cimport Event, Track, track_of


@cython.locals(at=cython.longlong, row=Row, pending=tuple, last=tuple, counts=tuple, windows=tuple, moves=tuple, move=Move,
               begun=tuple, starts=tuple, found=tuple, made=Track, entered=Track, settle_at=cython.longlong, since=cython.longlong)
cpdef Track step(Journey journey, Track track, Event event, list entries)

cpdef Track settle(Journey journey, Track track, long long before, list entries)

@cython.locals(timers=dict, timer=Timer, ready=list)
cpdef tuple project(Journey journey, Track track, long long watermark, list entries)

@cython.locals(soonest=cython.longlong, first=cython.bint, timer=Timer, at=cython.longlong, due=cython.longlong)
cpdef long long wake(Journey journey, Track track, long long watermark)

@cython.locals(pending=tuple, kept=list, timer=Timer)
cpdef Track without_final(Journey journey, Track track, long long horizon, long long watermark)

@cython.locals(window=tuple, needed=cython.int)
cpdef bint fits(Move move, long long at, tuple counts, tuple windows)

@cython.locals(timers=dict, timer=Timer, pending=list, armable=tuple, armed=tuple, windows=tuple, arranged=tuple)
cpdef Track enter(Journey journey, Track track, str to, long long at)

cpdef long long first_stage_timer(Journey journey, tuple pending)

cdef tuple _stage_timer(Journey journey, tuple pending)

@cython.locals(timer=Timer)
cdef Track _fire(Journey journey, Track track, list entries)

@cython.locals(since=cython.longlong, due=cython.longlong)
cdef tuple _armed_on_entry(Timer timer, tuple last, long long at)

@cython.locals(kept=list)
cdef tuple _broken(tuple pending, frozenset breaks, long long at)

cdef Track _started(Journey journey, Track track, tuple starts, long long at)

@cython.locals(kept=list, timer=Timer)
cdef tuple _restarted(Journey journey, tuple pending, tuple starts, long long at)

@cython.locals(trigger=Trigger, pending=list, told=list)
cdef Track _triggered(Journey journey, Track track, tuple found, long long at, tuple windows, bint moved)

@cython.locals(move=Move, time=tuple, last=cython.longlong, ms=cython.longlong, slot=cython.int)
cdef bint _fires(Trigger trigger, Track track, long long at, tuple windows, bint moved)

@cython.locals(timer=Timer)
cdef bint _is_among(str rule, tuple timers)

@cython.locals(changed=list)
cdef tuple _with(tuple times, tuple slots, long long at)

@cython.locals(changed=list)
cdef tuple _counted(tuple counts, tuple slots)

@cython.locals(changed=list, window=tuple, size=cython.int)
cdef tuple _windows(tuple windows, tuple slots, long long at)
