# The C types of records.py.
cimport cython

from pipeline.domain.identity cimport public_key
from pipeline.domain.moments cimport format_moment
from pipeline.domain.profile cimport Position, Profile, Strand


cpdef bytes transition_record(object transition, str published_at)
cpdef str entry_id(str customer, str journey, object entry)
cpdef bytes signal_record(object signal, str published_at)

@cython.locals(strand=Strand, position=Position)
cpdef bytes customer_record(Profile profile, str updated_at)
