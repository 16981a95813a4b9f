# The C types of event.py.
cimport cython

from pipeline.domain.bytewise cimport opens_more
from pipeline.domain.identity cimport Identities, Named
from pipeline.domain.moments cimport parse_moment


@cython.locals(identifier=str, kind=str)
cpdef object decode(bytes value, Py_ssize_t max_bytes, Py_ssize_t max_depth)
@cython.locals(found=Named)
cpdef Named named(object event, Identities identities, str known=*)
cpdef long long moment(object event) except -1
