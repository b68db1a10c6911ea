"""A NIfTI image as it may be shared: the same voxels, no name or date in gzip header, NIfTI header or extensions."""

from __future__ import annotations

import gzip
import struct
import zlib

GZIP_MAGIC = b"\x1f\x8b\x08"
GZIP_HEADER = GZIP_MAGIC + b"\x00" + bytes(4) + b"\x00\xff"
"""Deflate, no name, no comment, no time, unknown system: the same for everyone."""
_HAS_CRC, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT = 2, 4, 8, 16

NIFTI1_SIZE, NIFTI2_SIZE = 348, 540


def shareable_image(content: bytes) -> bytes:
    """Return a gzipped NIfTI file with the same image and nothing private around it.

    The compressed data are kept as they are where nothing inside has to change, so that a large image costs no time.

    Parameters
    ----------
    content
        A NIfTI-1 or NIfTI-2 file, gzipped or not.
    """
    if not content.startswith(GZIP_MAGIC):
        return gzip.compress(without_extensions(content), compresslevel=6, mtime=0)
    body = _gzip_body(content)
    reader = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    raw = reader.decompress(content[body:])
    clean = without_extensions(raw)
    trailer = reader.unused_data
    if clean == raw and len(trailer) == struct.calcsize("<II"):  # one member, nothing changed
        return GZIP_HEADER + content[body:]
    return gzip.compress(without_extensions(gzip.decompress(content)), compresslevel=6, mtime=0)


def without_extensions(raw: bytes) -> bytes:
    """Return a NIfTI file with its header extensions and ``db_name`` blanked; other bytes are untouched."""
    order = "<" if struct.unpack("<i", raw[:4])[0] in {NIFTI1_SIZE, NIFTI2_SIZE} else ">"
    size = struct.unpack(f"{order}i", raw[:4])[0]
    if size == NIFTI1_SIZE:
        start = int(struct.unpack(f"{order}f", raw[108:112])[0])
        blank = [(14, 32), (size, start)]
    else:
        start = struct.unpack(f"{order}q", raw[168:176])[0]
        blank = [(size, start)]
    out = bytearray(raw)
    for first, last in blank:
        out[first:last] = bytes(max(0, last - first))
    return bytes(out)


def _gzip_body(content: bytes) -> int:
    """Return where the compressed data of a gzip file begin (RFC 1952)."""
    flags = content[3]
    at = 10
    if flags & _HAS_EXTRA:
        at += 2 + struct.unpack("<H", content[at : at + 2])[0]
    for flag in (_HAS_NAME, _HAS_COMMENT):
        if flags & flag:
            at = content.index(b"\x00", at) + 1
    return at + (2 if flags & _HAS_CRC else 0)
