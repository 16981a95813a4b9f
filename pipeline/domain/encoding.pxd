# The C types of encoding.py.
cimport cython

from pipeline.domain.profile cimport Position, Profile, Strand, Track, position_of, profile_of, strand_of, track_of
from pipeline.domain.remembered cimport pack_event, packed_of, unpack_event


cpdef bytes encode(Profile profile)
@cython.locals(strands=tuple, positions=tuple)
cpdef Profile decode(bytes data)
cpdef Track base_of(Position position)
cpdef bytes remember(bytes trail, object entry)
cdef bytes _pack_track(Track track)

cdef tuple _strand(Strand strand)

cdef tuple _position(Position position)
cdef Strand _unpack_strand(tuple fields)
cdef Position _unpack_position(tuple fields)
cdef Track _unpack_track(bytes packed)
