# The C types of identity.py.
cimport cython


@cython.final
cdef class Named:
    cdef readonly str primary
    cdef readonly tuple others
    cdef readonly tuple ignored


@cython.locals(made=Named)
cpdef Named named_of(str primary, tuple others, tuple ignored)


@cython.final
cdef class Identities:
    cdef readonly dict kinds
    cdef tuple _order
    cdef object _never
    cdef object _digest
    cdef readonly dict _found

    @cython.locals(primary=str, key=str, others=list, ignored=list, left=cython.Py_ssize_t, name=str, value=str)
    cpdef Named of(self, str customer_id, dict identities, str known=*)
    @cython.locals(found=dict, known=tuple)
    cpdef tuple look_up(self, str kind, str value)
    cdef tuple _work_out(self, str kind, str value)

cpdef str customer_key(str customer_id)
cpdef str public_key(str key)
