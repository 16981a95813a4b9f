# The C types of remembered.py.
cimport cython

from pipeline.domain.extremes cimport FAR
from pipeline.domain.packing cimport Frame, Reader, Writer
from pipeline.domain.profile cimport Event, Strand, before, event_of, strand_of


@cython.locals(event=Event)
cpdef bint remembers(Strand strand, str identifier)

@cython.locals(recent=list, packed=bytes, frame=Frame, reader=Reader, first=cython.Py_ssize_t, event=Event)
cpdef list recent_of(Strand strand)

cpdef object append(Strand strand, Event event)

@cython.locals(recent=list, place=cython.int, other=Event)
cpdef object insert(Strand strand, Event event)

@cython.locals(event=Event, found=cython.int)
cpdef int older(Strand strand, long long horizon)

@cython.locals(recent=list)
cpdef object forget(Strand strand, int number)

@cython.locals(recent=list)
cpdef bytes packed_of(Strand strand)

@cython.locals(packed=bytes, writer=Writer)
cpdef bytes pack_event(Event event, Frame frame)

@cython.locals(event=Event)
cpdef Event unpack_event(bytes packed, Frame frame)

@cython.locals(made=Strand, event=Event)
cpdef Strand reframed(Strand strand, Frame frame)

@cython.locals(words=list, events=list, event=Event)
cpdef list words_of(Strand strand)

cdef Event _copy(Event event)

@cython.locals(at=cython.longlong, appended=cython.longlong, partition=cython.int, offset=cython.longlong)
cdef Event _read_event(Reader reader)

@cython.locals(first=Event)
cdef object _count(Strand strand, list recent)
