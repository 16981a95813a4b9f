# The C types of touches.py.


cdef class TouchTable:
    cdef tuple _rows
    cdef dict _known
    cdef dict _types
    cdef public object company

    cpdef str shared(self, str kind)
    cpdef str classify(self, object event, str channel)
