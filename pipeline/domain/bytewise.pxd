# What bytewise.py says, in C.

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcpy

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


cdef inline Py_ssize_t count_to(const char* at, const char* end, char wanted, Py_ssize_t most) noexcept:
    cdef Py_ssize_t found = 0
    at = <const char*>memchr(at, wanted, end - at)
    while at != NULL and found <= most:
        found += 1
        at += 1
        at = <const char*>memchr(at, wanted, end - at)
    return found


cdef inline bint opens_more(bytes value, Py_ssize_t most) noexcept:
    cdef const char* first = PyBytes_AS_STRING(value)
    cdef const char* end = first + PyBytes_GET_SIZE(value)
    return count_to(first, end, b"{", most) + count_to(first, end, b"[", most) > most


cdef inline int put(bytearray out, Py_ssize_t at, bytes data) noexcept:
    memcpy(PyByteArray_AS_STRING(out) + at, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    return 0


cdef inline Py_ssize_t size_of(str text) except -1:
    cdef Py_ssize_t size
    PyUnicode_AsUTF8AndSize(text, &size)
    return size


cdef inline int put_text(bytearray out, Py_ssize_t at, str text) except -1:
    cdef Py_ssize_t size
    cdef const char* data = PyUnicode_AsUTF8AndSize(text, &size)
    memcpy(PyByteArray_AS_STRING(out) + at, data, size)
    return 0


cdef inline bytes begin_of(bytearray out, Py_ssize_t size):
    return PyBytes_FromStringAndSize(PyByteArray_AS_STRING(out), size)


cdef inline str text_at(bytes data, Py_ssize_t first, Py_ssize_t size):
    return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(data) + first, size, NULL)
