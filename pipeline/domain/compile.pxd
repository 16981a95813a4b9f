# The C types of compile.py.
cimport cython

from pipeline.domain.extremes cimport FAR, NEVER
from pipeline.domain.profile cimport Track, track_of


@cython.final
cdef class Timer:
    cdef readonly str rule
    cdef readonly int order
    cdef readonly str to
    cdef readonly str signal
    cdef readonly long long after
    cdef readonly int last
    cdef readonly int broken
    cdef readonly frozenset scope
    cdef readonly long long grace
    cdef readonly object expires


@cython.final
cdef class Move:
    cdef readonly str rule
    cdef readonly str to
    cdef readonly int count
    cdef readonly long long within
    cdef readonly int window
    cdef readonly tuple at_least


@cython.final
cdef class Trigger:
    cdef readonly str rule
    cdef readonly Move move
    cdef readonly tuple unless
    cdef readonly int once
    cdef readonly long long again


@cython.final
cdef class Row:
    cdef readonly tuple last
    cdef readonly tuple counts
    cdef readonly tuple windows
    cdef readonly frozenset breaks
    cdef readonly dict moves
    cdef readonly dict starts
    cdef readonly dict triggers


cdef class Journey:
    cdef public str name
    cdef public long long version
    cdef public str fingerprint
    cdef public tuple stages
    cdef public dict timers
    cdef public dict on_entry
    cdef public tuple since_entry
    cdef public str shape
    cdef public tuple slots
    cdef public object spec
    cdef public tuple names
    cdef public Track start
    cdef public dict rows
    cdef public Row default
