# The C types of stitch.py.
cimport cython

from pipeline.application.intake cimport Arrival
from pipeline.domain.encoding cimport decode, encode
from pipeline.application.records cimport customer_record, signal_record, transition_record
from pipeline.domain.identity cimport public_key
from pipeline.domain.packing cimport Names
from pipeline.domain.profile cimport Profile, life_of, new_profile
from pipeline.domain.strands cimport claims_all


cdef class Stitch:
    cdef public object _fold
    cdef public object _stitching
    cdef public str code
    cdef public object intake
    cdef public Names names
    cdef public object erasure

    @cython.locals(profile=Profile)
    cpdef object fold_customer(self, str key, list arrivals, bytes stored, object watermark, object batch, object effects,
                                object parked)
    @cython.locals(key=str, arrival=Arrival, touched=cython.bint, counts=dict, life=cython.longlong, place=cython.Py_ssize_t)
    cdef object _fold_into(self, Profile profile, list arrivals, bint fresh, object watermark, object batch, object effects,
                           object parked)
    @cython.locals(profile=Profile, arrival=Arrival, place=cython.Py_ssize_t)
    cpdef object fold_erased(self, str key, list arrivals, object mark, bytes stored, object watermark, object batch,
                             object effects, object parked)
    cdef object _seen(self, str key, Arrival arrival)
    cdef object _carry_out(self, object step, Arrival arrival, object effects)

    @cython.locals(event=object)
    cdef object _stitched(self, Profile profile, Arrival arrival, object watermark, object effects)
    cdef object _came_with(self, Arrival arrival)

    @cython.locals(profile=Profile)
    cdef Profile _open(self, str key, bytes data, long long epoch)
    cdef Profile _reopen(self, str key, dict stored, object effects)
