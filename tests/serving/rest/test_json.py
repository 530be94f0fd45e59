import base64
import json

import numpy as np
import pytest

from keras_attn.serving.errors import HTTP_STATUS, Code, ServingError
from keras_attn.serving.models.signatures import NUMPY_DTYPES, TensorInfo
from keras_attn.serving.rest.json.debug import debug_string
from keras_attn.serving.rest.json.document import parse_request
from keras_attn.serving.rest.json.input import read_inputs, signature_name
from keras_attn.serving.rest.json.output import write_outputs

ONE = {"x": TensorInfo("float", None)}
TWO = {"a": TensorInfo("float", None), "b": TensorInfo("int32", None)}


def of(dtype):
    return {"x": TensorInfo(dtype, None)}


def read(text, inputs=ONE):
    return read_inputs(parse_request(text.encode()), inputs)


def error_of(function, *arguments, **named):
    with pytest.raises(ServingError) as caught:
        function(*arguments, **named)
    return caught.value


# Requests -> arrays.


def test_row_of_one_input():
    arrays, format = read('{"instances": [[1, 2.5, -3e-1], [4, 5, 6]]}')
    assert format == "row"
    assert arrays["x"].dtype == np.float32
    np.testing.assert_array_equal(arrays["x"], np.float32([[1, 2.5, -0.3], [4, 5, 6]]))


def test_row_of_scalars():
    np.testing.assert_array_equal(read('{"instances": [1, 2, 3]}')[0]["x"], [1, 2, 3])


def test_row_of_several_inputs():
    text = '{"instances": [{"a": [1, 2], "b": 3}, {"b": 6, "a": [4, 5]}]}'
    arrays, format = read(text, TWO)
    assert format == "row"
    np.testing.assert_array_equal(arrays["a"], [[1, 2], [4, 5]])
    np.testing.assert_array_equal(arrays["b"], [3, 6])
    assert (arrays["a"].dtype, arrays["b"].dtype) == (np.float32, np.int32)


def test_row_of_one_named_input():
    np.testing.assert_array_equal(
        read('{"instances": [{"x": [1]}, {"x": [2]}]}')[0]["x"], [[1], [2]]
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [("[[1, 2], [3, 4]]", [[1, 2], [3, 4]]), ("7", 7), ("[]", []), ("[[], []]", [[], []])],
)
def test_column_of_one_input(value, expected):
    for text in (f'{{"inputs": {value}}}', f'{{"inputs": {{"x": {value}}}}}'):
        arrays, format = read(text)
        assert format == "column"
        np.testing.assert_array_equal(arrays["x"], np.float32(expected))
        assert arrays["x"].shape == np.shape(expected)


def test_column_of_several_inputs_passes_over_others():
    arrays, _ = read('{"inputs": {"a": [1, 2], "b": [[3]], "c": "other"}}', TWO)
    np.testing.assert_array_equal(arrays["a"], [1, 2])
    np.testing.assert_array_equal(arrays["b"], [[3]])


@pytest.mark.parametrize("dtype", [name for name in NUMPY_DTYPES if "int" in name])
def test_integers_at_their_limits(dtype):
    limits = np.iinfo(NUMPY_DTYPES[dtype])
    values = [int(limits.min), 1, int(limits.max)]
    array = read(json.dumps({"instances": values}), of(dtype))[0]["x"]
    assert array.dtype == dtype
    assert array.tolist() == values
    for wrong in (values[0] - 1, values[2] + 1, 1.0, True, "1", None):
        error = error_of(read, json.dumps({"inputs": [1, wrong]}), of(dtype))
        assert error.code == Code.INVALID_ARGUMENT
        assert error.message.endswith(f"is not of expected type: {dtype}")


def test_booleans_and_doubles():
    assert read('{"inputs": [[true, false]]}', of("bool"))[0]["x"].tolist() == [[True, False]]
    assert read('{"inputs": [0.1, 3]}', of("double"))[0]["x"].tolist() == [0.1, 3.0]


def test_constants_are_numbers():
    for text in ("NaN, Infinity, -Infinity, 1", "-NaN, Inf,-Inf, 1"):
        array = read(f'{{"inputs": [{text}]}}')[0]["x"]
        np.testing.assert_array_equal(array, np.float32([np.nan, np.inf, -np.inf, 1]))


def test_of_a_name_that_is_there_twice_the_first_counts():
    assert read('{"inputs": [1], "inputs": [2]}')[0]["x"].tolist() == [1.0]
    assert read('{"inputs": {"x": 1, "x": 2}}')[0]["x"] == 1.0
    assert read('{"instances": [{"x": 1, "x": 2}, {"x": 3}]}')[0]["x"].tolist() == [1.0, 3.0]
    assert signature_name(parse_request(b'{"signature_name": "a", "signature_name": "b"}')) == "a"
    error = error_of(read, '{"inputs": [{"b64": "YQ==", "b64": "YQ=="}]}', of("string"))
    assert error.message == (
        'JSON Value: {\n    "b64": "YQ==",\n    "b64": "YQ=="\n} '
        "not formatted correctly for base64 data"
    )


def test_a_double_that_float32_does_not_reach_is_infinite():
    assert read('{"inputs": [1e39]}')[0]["x"].tolist() == [np.inf]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" + "0" * 400])
def test_a_number_that_no_double_reaches(number):
    error = error_of(read, f'{{"inputs": [1, {number}]}}')
    text = "JSON Parse error: Number too big to be stored in double. at offset: 15"
    assert error.message == text


def test_strings_and_bytes():
    data = bytes(range(256))
    text = json.dumps(
        {"instances": ["é\u0000", {"b64": base64.b64encode(data).decode()}, {"b64": "YQ"}, ""]}
    )
    array = read(text, of("string"))[0]["x"]
    assert array.tolist() == ["é\u0000".encode(), data, b"a", b""]
    array = read('{"inputs": {"b64": "YW I=\\n"}}', of("string"))[0]["x"]
    assert (array.shape, array.item()) == ((), b"ab")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"b64": "-_-_"}', "Unable to base64 decode"),  # the URL alphabet
        ('{"b64": "YQ==="}', "Unable to base64 decode"),
        ('{"b64": "Y"}', "Unable to base64 decode"),
        ('{"b64": "é"}', "Unable to base64 decode"),
        (
            '{"b64": 3}',
            'JSON Value: {\n    "b64": 3\n} not formatted correctly for base64 data',
        ),
        ("3", "JSON Value: 3 Type: Number is not of expected type: string"),
    ],
)
def test_wrong_strings(value, message):
    assert error_of(read, f'{{"inputs": {{"x": [{value}]}}}}', of("string")).message == message


ELEMENT = "Failed to process element: {} of 'instances' list. Error: INVALID_ARGUMENT: "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "JSON Parse error: The document is empty"),
        ("[1]", "JSON Value: [1] Is not object"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        (
            '{"inputs": 1, "instances": [1]}',
            'JSON Value: {\n    "inputs": 1,\n    "instances": [1]\n} Not formatted correctly '
            "expecting only one of 'inputs' or 'instances' keys to exist ",
        ),
        (
            '{"instances": 1}',
            "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array",
        ),
        (
            '{"instances": []}',
            "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array",
        ),
        (
            '{"instances": [[1], ["a"]]}',
            ELEMENT.format(1) + 'JSON Value: "a" Type: String is not of expected type: float',
        ),
        (
            '{"instances": [[true]]}',
            ELEMENT.format(0) + "JSON Value: true Type: True is not of expected type: float",
        ),
        (
            '{"instances": [null]}',
            ELEMENT.format(0) + "JSON Value: null Type: Null is not of expected type: float",
        ),
        (
            '{"instances": [[1, 2], [3]]}',
            ELEMENT.format(1) + "Expecting tensor size: 2 but got: 1",
        ),
        (
            '{"instances": [[[1, 2]], [[1], [2]]]}',
            ELEMENT.format(1) + "Expecting shape [1,2] but got: [2,1]",
        ),
        (
            '{"instances": [[[1, 2], [3]]]}',
            ELEMENT.format(0)
            + "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        (
            '{"instances": [[1, [2]]]}',
            ELEMENT.format(0) + "Encountered list at unexpected level: 1 expected < 1",
        ),
        (
            '{"instances": [[[1], 2]]}',
            ELEMENT.format(0)
            + "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        (
            '{"instances": [{"x": 1}, 2]}',
            "Expecting object but got list at item 1 of input list",
        ),
        (
            '{"instances": [2, {"x": 1}]}',
            "Expecting value/list but got object at item 1 of input list",
        ),
        (
            '{"instances": [{"y": 1}]}',
            "Failed to process element: 0 key: y of 'instances' list. Error: "
            "INVALID_ARGUMENT: JSON object: does not have named input: y",
        ),
        ('{"inputs": {"y": 1}}', "Missing named input: x in 'inputs' object."),
        (
            '{"inputs": [[1, 2], [3]]}',
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        ('{"inputs": ["a"]}', 'JSON Value: "a" Type: String is not of expected type: float'),
        (
            '{"inputs": [{"a": [1, {}]}]}',
            'JSON Value: {\n    "a": [1, {}]\n} Type: Object is not of expected type: float',
        ),
    ],
)
def test_wrong_requests_of_one_input(text, message):
    error = error_of(read, text)
    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"instances": [1]}',
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map",
        ),
        (
            '{"inputs": [1]}',
            "inputs is a plain value/list, but expecting an object as multiple input tensors "
            "required as per tensorinfo_map",
        ),
        ('{"inputs": {"a": 1}}', "Missing named input: b in 'inputs' object."),
        (
            '{"instances": [{"a": 1, "b": 1}, {"a": 1}]}',
            "Failed to process element: 1 of 'instances' list. JSON object: "
            '{\n    "a": 1\n} keys must be equal to: a,b',
        ),
        (
            '{"instances": [{"a": 1, "b": 1.5}]}',
            "Failed to process element: 0 key: b of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON Value: 1.5 Type: Number is not of expected type: int32",
        ),
    ],
)
def test_wrong_requests_of_two_inputs(text, message):
    error = error_of(read, text, TWO)
    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, message)


@pytest.mark.parametrize("dtype", ["half", "bfloat16", "uint16", "complex64"])
@pytest.mark.parametrize("value", ["[1]", "[]", "1"])
def test_dtypes_that_json_does_not_carry(dtype, value):
    error = error_of(read, f'{{"inputs": {value}}}', of(dtype))
    assert error.code == Code.UNIMPLEMENTED
    assert error.message.endswith(f"to type: {dtype}")


def test_a_deep_list_is_no_tensor():
    error = error_of(read, '{"inputs": ' + "[" * 300 + "]" * 300 + "}")
    assert error.message == "Shape must have at most 64 dimensions: 300"


def test_signature_names():
    assert signature_name({}) == ""
    assert signature_name({"signature_name": "s"}) == "s"
    assert error_of(signature_name, {"signature_name": 1}).message == (
        'JSON Value: {\n    "signature_name": 1\n} not formatted correctly. '
        "'signature_name' key must be a string value."
    )


def test_long_values_are_cut_in_errors():
    assert len(debug_string(["x" * 10_000] * 10)) < 600
    assert len(debug_string(list(range(10_000)))) < 300
    nested = []
    for _ in range(900):
        nested = [nested]
    assert debug_string(nested) == "[" * 256


# Arrays -> replies.


def write(arrays, format, dtype="float"):
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    outputs = {name: TensorInfo(dtype, None) for name in arrays}
    return write_outputs(arrays, outputs, format=format).decode("utf-8", "surrogateescape")


def test_one_output_is_bare():
    array = [[[1, 2.5], [3, 4]]]
    assert write({"y": array}, "row") == '{"predictions": [[[1.0, 2.5], [3.0, 4.0]]]}'
    assert write({"y": array}, "column") == '{"outputs": [[[1.0, 2.5], [3.0, 4.0]]]}'
    assert write({"y": [1, 2]}, "row") == '{"predictions": [1.0, 2.0]}'
    assert write({"y": 1}, "column") == '{"outputs": 1.0}'


def test_several_outputs_are_objects():
    arrays = {"y": [[1, 2], [3, 4]], "z": [5, 6]}
    assert json.loads(write(arrays, "row")) == {
        "predictions": [{"y": [1.0, 2.0], "z": 5.0}, {"y": [3.0, 4.0], "z": 6.0}]
    }
    assert json.loads(write(arrays, "column")) == {
        "outputs": {"y": [[1.0, 2.0], [3.0, 4.0]], "z": [5.0, 6.0]}
    }


def test_empty_outputs():
    assert write({"y": np.zeros((0, 3))}, "row") == '{"predictions": []}'
    assert write({"y": np.zeros((2, 0))}, "row") == '{"predictions": [[], []]}'
    assert write({"y": np.zeros((2, 0, 3))}, "column") == '{"outputs": [[], []]}'


def test_rows_need_one_batch_size():
    error = error_of(write, {"y": 1}, "row")
    assert error.message == "Tensor name: y has no shape information "
    error = error_of(write, {"y": [1, 2], "z": [1, 2, 3]}, "row")
    assert error.message == "Tensor name: z has inconsistent batch size: 3 expecting: 2"
    assert json.loads(write({"y": 1, "z": [1, 2, 3]}, "column"))["outputs"]["y"] == 1.0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1, "1.0"),
        (-0.0, "-0.0"),
        (1 / 3, "0.333333343"),
        (123456, "123456.0"),
        (1234567, "1234567.0"),
        (16777216, "16777216.0"),
        (9e6, "9e+06"),
        (3e-5, "3e-05"),
        (1e-45, "1.4013e-45"),
        (3.4028235e38, "3.40282347e+38"),
        (np.nan, "NaN"),
        (np.inf, "Infinity"),
        (-np.inf, "-Infinity"),
    ],
)
def test_floats(value, text):
    assert write({"y": [value]}, "row") == f'{{"predictions": [{text}]}}'


def test_floats_come_back_exactly():
    values = np.random.default_rng(0).integers(0, 2**32, 10_000, np.uint32).view(np.float32)
    back = json.loads(write({"y": values}, "row"))["predictions"]
    np.testing.assert_array_equal(np.float32(back), values)
    values = np.random.default_rng(0).integers(0, 2**63, 1000, np.uint64).view(np.float64)
    back = json.loads(write({"y": values}, "row", "double"))["predictions"]
    np.testing.assert_array_equal(back, values)


@pytest.mark.parametrize(
    ("dtype", "value", "text"),
    [
        ("double", 1 / 3, "0.33333333333333331"),
        ("int64", -(2**63), "-9223372036854775808"),
        ("uint64", 2**64 - 1, "18446744073709551615"),
        ("uint8", 255, "255"),
        ("bool", True, "true"),
    ],
)
def test_other_numbers(dtype, value, text):
    array = np.array([value], NUMPY_DTYPES[dtype])
    assert write({"y": array}, "row", dtype) == f'{{"predictions": [{text}]}}'


def test_strings_are_text_and_those_named_bytes_base64():
    array = np.array(['é"\n'.encode(), b""], object)
    assert write({"y": array}, "row", "string") == '{"predictions": ["é\\"\\n", ""]}'
    assert json.loads(write({"y_bytes": array}, "row", "string")) == {
        "predictions": [{"b64": "w6kiCg=="}, {"b64": ""}]
    }
    raw = write_outputs(
        {"y": np.array([b"\xff"], object)}, {"y": TensorInfo("string", None)}, format="row"
    )
    assert raw == b'{"predictions": ["\xff"]}'


def test_a_dtype_that_json_does_not_carry():
    error = error_of(write, {"y": np.float16([1])}, "row", "half")
    assert error.code == Code.INVALID_ARGUMENT
    assert error.message == "Failed to write JSON value for tensor type: half"


def test_no_output_at_all():
    for format in ("row", "column"):
        error = error_of(write, {}, format)
        assert error.code == Code.INVALID_ARGUMENT
        assert error.message == "Cannot convert empty tensor map to JSON"


def test_every_code_has_a_status():
    assert HTTP_STATUS == {
        Code.CANCELLED: 499,
        Code.UNKNOWN: 500,
        Code.INVALID_ARGUMENT: 400,
        Code.DEADLINE_EXCEEDED: 504,
        Code.NOT_FOUND: 404,
        Code.ALREADY_EXISTS: 409,
        Code.PERMISSION_DENIED: 403,
        Code.RESOURCE_EXHAUSTED: 429,
        Code.FAILED_PRECONDITION: 400,
        Code.ABORTED: 409,
        Code.OUT_OF_RANGE: 400,
        Code.UNIMPLEMENTED: 501,
        Code.INTERNAL: 500,
        Code.UNAVAILABLE: 503,
        Code.DATA_LOSS: 500,
        Code.UNAUTHENTICATED: 401,
    }
