"""Bodies that a client has compressed, by their Content-Encoding."""

import zlib


class UnknownEncodingError(Exception):
    """The body is compressed in a way that isn't known."""


class BrokenBodyError(Exception):
    """The body is not what its Content-Encoding says."""


class Decoder:
    """Decompresses a body piece by piece, so that a bomb is noticed before it has gone off.

    Args:
        encoding: The header's value: `gzip`, `deflate`, `identity`, or several that were applied
            one after the other.

    Raises:
        UnknownEncodingError: If it names another.
    """

    def __init__(self, encoding: str):
        names = [name.strip().lower() for name in encoding.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        if len(names) > 1 or not set(names) <= {"gzip", "x-gzip", "deflate"}:
            raise UnknownEncodingError(encoding)
        self._name = names[0] if names else None
        self._stream: _Gzip | _Deflate | None = None

    def decode(self, data: bytes, most: int) -> bytes:
        """The next piece, decompressed, of which no more than `most` + 1 bytes are made.

        Raises:
            BrokenBodyError: If it isn't compressed so.
        """
        if self._name is None or not data:
            return data
        if self._stream is None:
            self._stream = _Deflate(data) if self._name == "deflate" else _Gzip()
        try:
            return self._stream.decompress(data, most + 1)
        except zlib.error as error:
            raise BrokenBodyError(str(error)) from error

    def check_end(self) -> None:
        """Raises BrokenBodyError where the end of the compressed data is missing."""
        if self._stream is not None and not self._stream.ended:
            raise BrokenBodyError("it ends too early")


class _Deflate:
    """In zlib's form, or in the raw one that some send under its name."""

    def __init__(self, start: bytes):
        zlib_form = len(start) < 2 or (
            (start[0] & 0x0F) == 8 and (start[0] << 8 | start[1]) % 31 == 0
        )
        self._stream = zlib.decompressobj(zlib.MAX_WBITS if zlib_form else -zlib.MAX_WBITS)

    @property
    def ended(self) -> bool:
        return self._stream.eof

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._stream.decompress(data, most)


class _Gzip:
    """Several members one after the other are one body (RFC 1952)."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS + 16)

    @property
    def ended(self) -> bool:
        return self._stream.eof

    def decompress(self, data: bytes, most: int) -> bytes:
        made = self._stream.decompress(data, most)
        while self._stream.eof and self._stream.unused_data and len(made) < most:
            rest = self._stream.unused_data
            self._stream = zlib.decompressobj(zlib.MAX_WBITS + 16)
            made += self._stream.decompress(rest, most - len(made))
        return made
