# The C types of packing.py.
cimport cython

from pipeline.domain.bytewise cimport begin_of, put, put_text, size_of, text_at
from pipeline.domain.extremes cimport NEVER

cdef int _WORD
cdef Py_ssize_t _LONGEST
cdef Py_ssize_t _ROOM


@cython.final
cdef class Names:
    cdef readonly list names
    cdef readonly dict places


@cython.final
cdef class Frame:
    cdef readonly Names names
    cdef readonly long long epoch


@cython.final
cdef class Writer:
    cdef bytearray _out
    cdef Py_ssize_t _at
    cdef dict _places
    cdef long long _reference

    cpdef Py_ssize_t begin(self, Frame frame)
    @cython.locals(size=cython.Py_ssize_t, out=bytearray, body=bytes)
    cpdef object end(self, Py_ssize_t first)
    @cython.locals(out=bytearray, at=cython.Py_ssize_t)
    cpdef object number(self, long long value)
    @cython.locals(difference=cython.longlong)
    cpdef object time(self, long long at)
    cpdef object refer(self, long long at)
    @cython.locals(size=cython.Py_ssize_t)
    cpdef object text(self, str text)
    @cython.locals(size=cython.Py_ssize_t)
    cpdef object blob(self, bytes data)
    cpdef object name(self, str name)
    cpdef bytes written(self)
    cdef object _put(self, bytes data, Py_ssize_t size)
    cdef object _make_room(self, Py_ssize_t size)


@cython.final
cdef class Reader:
    cdef bytes _data
    cdef list _names
    cdef long long _reference
    cdef Py_ssize_t _size
    cdef public Py_ssize_t at

    cpdef object begin(self, Frame frame)
    @cython.locals(size=cython.Py_ssize_t, first=cython.Py_ssize_t, inner=Reader)
    cpdef Reader inside(self, Frame frame)
    @cython.locals(data=bytes, at=cython.Py_ssize_t, size=cython.Py_ssize_t, found=cython.longlong, shift=cython.int, byte=cython.longlong)
    cpdef long long number(self)
    @cython.locals(coded=cython.longlong)
    cpdef long long time(self)
    cpdef object refer(self, long long at)
    @cython.locals(size=cython.Py_ssize_t, first=cython.Py_ssize_t)
    cpdef bytes blob(self)
    @cython.locals(size=cython.Py_ssize_t, first=cython.Py_ssize_t)
    cpdef str text(self)
    @cython.locals(place=cython.Py_ssize_t)
    cpdef str name(self)
    cpdef tuple times(self)
    cpdef tuple numbers(self)
    cpdef bint ends(self)


@cython.locals(at=cython.longlong)
cpdef object times_out(Writer writer, tuple times)
@cython.locals(number=cython.longlong)
cpdef object numbers_out(Writer writer, tuple numbers)
