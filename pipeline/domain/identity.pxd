# The C types of identity.py.

cpdef str customer_key(str customer_id)
cpdef str public_key(str key)
cpdef bint well_formed(str value)
cpdef bint ambiguous(str customer_id)
