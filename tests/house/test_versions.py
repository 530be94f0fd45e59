"""Names of version folders, read as TF Serving reads them, with absl's SimpleAtoi."""

import pytest

from keras_attn._versions import find_versions, parse_version


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1", 1),
        ("0", 0),
        ("-0", 0),
        ("01", 1),
        ("0" * 200 + "7", 7),
        ("+1", 1),
        ("-1", -1),
        (" 1", 1),
        ("1\n", 1),
        ("\t\v\f\r 12 ", 12),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("9" * 20, None),
        ("9" * 250, None),
        ("1_0", None),
        ("+ 1", None),
        ("--1", None),
        ("+", None),
        ("", None),
        (" ", None),
        ("1.0", None),
        ("1e3", None),
        ("0x1", None),
        ("1 2", None),
        ("\u0661", None),  # ARABIC-INDIC DIGIT ONE
        ("\uff11", None),  # FULLWIDTH DIGIT ONE
        ("\u00b9", None),
        ("\u00a01", None),  # a no-break space before it
        (".1", None),
    ],
)
def test_names(name, version):
    assert parse_version(name) == version


def test_a_folder_of_versions(tmp_path):
    """What isn't a number is passed over; of two names of one version the last in bytes counts."""
    for name in ("10", "9", "1_0", "9" * 20, "001", "1", "+1", " 9", ".2", "\u0663"):
        (tmp_path / name).mkdir()
    (tmp_path / "3").write_text("a file is a version that can't be loaded")
    found = find_versions(tmp_path)
    assert [(version, path.name) for version, path in found.items()] == [
        (1, "1"),
        (3, "3"),
        (9, "9"),
        (10, "10"),
    ]
    assert find_versions(tmp_path / "none") == find_versions(tmp_path / "3") == {}
