# The C types of intake.py.
cimport cython

from pipeline.domain.event cimport decode, moment, named
from pipeline.domain.identity cimport Identities, Named, customer_key, public_key
from pipeline.domain.profile cimport Event, event_of
from pipeline.domain.touches cimport TouchTable


@cython.final
cdef class Arrival:
    cdef readonly str key
    cdef readonly tuple others
    cdef readonly Event event
    cdef readonly object message
    cdef readonly object source
    cdef readonly object record
    cdef readonly str channel


cdef class Intake:
    cdef readonly int partition
    cdef Identities _identities
    cdef readonly TouchTable table
    cdef object _limits
    cdef object _home
    cdef bint _event_clock
    cdef dict _homes
    cdef dict _residents
    cdef dict _strangers

    @cython.locals(residents=dict, strangers=dict, arrivals=list, tallies=dict, here=cython.int, home=cython.int, at=cython.longlong,
                   appended=cython.longlong, table=TouchTable, channel=str, key=str, customer=str,
                   kind=str, own=str, event_clock=cython.bint, who=Named, others=tuple)
    cpdef object _raw(self, object source, object records, object batch)

    cdef object _routed(self, object source, object record, object batch)
    cdef object _sent_on(self, object source, object record, str key, object message, object batch)
    cdef object _commands(self, object source, object records, object batch)
    cdef bint _punctuated(self, object source, object record, object batch)
    cdef str _own_channel(self, object source, object own, object record)
    cpdef int find_home(self, str key)
