# The C types of stitch.py.
cimport cython

from pipeline.application.intake cimport Arrival
from pipeline.domain.encoding cimport decode, encode
from pipeline.application.records cimport customer_record, signal_record, transition_record
from pipeline.domain.identity cimport public_key
from pipeline.domain.packing cimport Names
from pipeline.domain.profile cimport Profile, new_profile
from pipeline.domain.strands cimport claims_all


cdef class Stitch:
    cdef public object _fold
    cdef public object _stitching
    cdef public str code
    cdef public object intake
    cdef public Names names

    @cython.locals(profile=Profile, arrival=Arrival, touched=cython.bint, counts=dict)
    cpdef object fold_customer(self, str key, list arrivals, bytes stored, object watermark, object batch, object effects,
                                object parked)

    @cython.locals(event=object)
    cdef object _stitched(self, Profile profile, Arrival arrival, object watermark, object effects)
    cdef object _came_with(self, Arrival arrival)

    @cython.locals(profile=Profile)
    cdef Profile _open(self, str key, bytes data, long long epoch)
    cdef Profile _reopen(self, str key, dict stored, object effects)
