# The C types of event.py.
cimport cython

from pipeline.domain.moments cimport parse_moment


cpdef object decode(bytes value, Py_ssize_t max_bytes, Py_ssize_t max_depth)
cpdef long long moment(object event) except -1
