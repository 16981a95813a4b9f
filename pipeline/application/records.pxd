# The C types of records.py.
cimport cython

from pipeline.domain.identity cimport public_key
from pipeline.domain.moments cimport format_moment
from pipeline.domain.profile cimport Position, Profile, Strand


cdef dict _names

@cython.locals(customer=str, journey=str, supersedes=str, text=str, epoch=cython.longlong, version=cython.longlong,
               seq=cython.longlong)
cpdef bytes transition_record(object transition, str published_at)
cpdef str entry_id(str customer, str journey, object entry)
@cython.locals(customer=str, journey=str, name=str, rule=str, due=str, expires=str, text=str,
               epoch=cython.longlong, version=cython.longlong, occurrence=cython.longlong)
cpdef bytes signal_record(object signal, str published_at)

@cython.locals(strand=Strand, position=Position, since=str, journeys=list, touches=str, text=str)
cpdef bytes customer_record(Profile profile, str updated_at)

cpdef str escaped(str text)
cdef str _name(str text)
@cython.locals(event=str)
cdef str _entry_id(str customer, str journey, object entry)
@cython.locals(rule=str, since=str, due=str)
cdef str _cause(object entry)
cdef str _or_null(str name)
