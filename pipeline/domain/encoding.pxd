# The C types of encoding.py.
cimport cython

from pipeline.domain.extremes cimport FAR, NEVER
from pipeline.domain.packing cimport Frame, Names, Reader, Writer, numbers_out, times_out
from pipeline.domain.profile cimport Base, Links, Position, Profile, Strand, Track, base_of, links_of, position_of, profile_of, strand_of, track_of
from pipeline.domain.remembered cimport pack_event, packed_of, reframed, unpack_event, words_of


@cython.locals(writer=Writer, first=cython.Py_ssize_t, frame=Frame, strand=Strand, position=Position)
cpdef bytes encode(Profile profile)
@cython.locals(reader=Reader, frame=Frame, indexed=cython.longlong, epoch=cython.longlong)
cpdef Profile decode(bytes data, Names names)
@cython.locals(reader=Reader, indexed=cython.longlong)
cpdef object indexed_of(bytes data)
@cython.locals(writer=Writer, names=Names)
cpdef bytes encode_strand(Strand strand)
@cython.locals(reader=Reader, names=Names, strand=Strand)
cpdef Strand decode_strand(bytes data, Frame frame)
@cython.locals(writer=Writer, entries=list)
cpdef object remember(Position position, object entry)
@cython.locals(reader=Reader)
cpdef list trail_of(Position position)

@cython.locals(first=cython.Py_ssize_t, base=Base)
cdef object _write_strand(Writer writer, Strand strand, str key)
@cython.locals(reader=Reader, first=cython.longlong, newest=cython.longlong, company=cython.longlong, late=cython.longlong,
               unclassified=cython.longlong, truncated=cython.longlong, count=cython.int, oldest=cython.longlong)
cdef Strand _read_strand(Reader outer, str key, Frame frame)
@cython.locals(version=cython.longlong)
cdef Base _read_own_base(Reader reader)
@cython.locals(base=Base, track=Track, names=list)
cdef list _names_of(tuple bases)
@cython.locals(lives=cython.bint)
cdef object _write_links(Writer writer, Links links)
@cython.locals(form=cython.longlong, claims=dict, blocked=tuple, refused=dict, life=cython.longlong, lives=dict)
cdef Links _read_links(Reader reader)
cdef object _write_position(Writer writer, Position position)
@cython.locals(reader=Reader, version=cython.longlong, seq=cython.longlong, since=cython.longlong, ahead_and_flag=cython.int,
               track=Track, base=Track, closed=cython.longlong)
cdef Position _read_position(Reader reader, Frame frame)
@cython.locals(at=cython.longlong, since=cython.longlong)
cdef object _read_entry(Reader reader)
@cython.locals(since=cython.longlong, due=cython.longlong)
cdef object _read_firing(Reader reader)
cdef object _write_track(Writer writer, Track track)
@cython.locals(since=cython.longlong, settle_at=cython.longlong, pending=tuple, last=tuple, counts=tuple)
cdef Track _read_track(Reader reader)
@cython.locals(alike=cython.bint, place=cython.int, number=cython.longlong, at=cython.longlong, window=tuple)
cdef object _write_base(Writer writer, Track base, Track track)
@cython.locals(how=cython.int, since=cython.longlong, settle_at=cython.longlong, pending=tuple, last=list, counts=tuple,
               windows=list, at=cython.longlong, size=cython.int, window=tuple)
cdef Track _read_base(Reader reader, Track track)
@cython.locals(settled=cython.int, place=cython.int, due=cython.longlong, since=cython.longlong)
cdef object _write_pending(Writer writer, Track track)
@cython.locals(since=cython.longlong, pending=list)
cdef tuple _read_pending(Reader reader)
cdef long long _settle_at(tuple pending, Py_ssize_t place)
