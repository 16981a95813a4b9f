# The C types of moments.py.
cimport cython

cdef dict _hours
cdef dict _MINUTES
cdef dict _MILLIS
cdef dict _hour_texts
cdef list _MINUTE_TEXT
cdef list _MILLI_TEXT

cpdef long long parse_moment(str text) except -1
cdef long long _parse_any(str text) except -1

@cython.locals(hour=cython.longlong, rest=cython.longlong, second=cython.int, text=str)
cpdef str format_moment(long long ms)
cdef str _hour_text(long long hour)
