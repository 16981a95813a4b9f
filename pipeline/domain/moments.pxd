# The C types of moments.py.

cpdef long long parse_moment(str text) except -1
cdef long long _parse_any(str text) except -1
cpdef str format_moment(long long ms)
