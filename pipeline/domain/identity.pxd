# The C types of identity.py.

cpdef str customer_key(str customer_id)
cpdef str public_key(str key)
