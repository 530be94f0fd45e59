"""How a picture lies, by its EXIF."""

import struct

# EXIF is among a JPEG's first segments, and a file may be made of a million empty ones.
MOST_SEGMENTS = 1024
MOST_BYTES = 2**16  # of EXIF
LEAST_SEGMENT = 16  # a segment with EXIF has more bytes
ORIENTATION = 0x0112  # the tag
ENTRY = 12  # bytes of a tag in a directory of TIFF
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}  # by how a TIFF header begins
# Orientation -> name of Pillow's operation that sets the picture upright.
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def exif_of_jpeg(encoded: bytes) -> bytes:
    """The EXIF of a JPEG file from its TIFF header on, as the graph of an export finds it."""
    at = 2
    for _ in range(MOST_SEGMENTS):
        if at + LEAST_SEGMENT > len(encoded):
            break
        marker, length = struct.unpack_from(">HH", encoded, at)
        if marker == 0xFFE1 and encoded[at + 4 : at + 10] == b"Exif\0\0":
            return encoded[at + 10 : at + 10 + MOST_BYTES]
        if marker == 0xFFFF:  # 0xFF may stand before a marker
            at += 1
        elif marker <= 0xFF00 or marker == 0xFFDA:  # then the picture itself begins
            break
        else:
            at += 2 + length
    return b""


def orientation(exif: bytes) -> int:
    """What the first directory of EXIF says, 1 to 8; 1 where it says nothing or nonsense.

    Pillow's own reader knows more: other types, XMP, what follows the picture. Browsers and an
    exported network don't look there.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = BYTE_ORDERS.get(exif[:4])
    if order is None:
        return 1
    try:
        [start] = struct.unpack_from(f"{order}I", exif, 4)
        [count] = struct.unpack_from(f"{order}H", exif, start)
        for place in range(start + 2, start + 2 + ENTRY * count, ENTRY):
            if struct.unpack_from(f"{order}H", exif, place) == (ORIENTATION,):
                [value] = struct.unpack_from(f"{order}H", exif, place + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass  # it ends before that
    return 1
