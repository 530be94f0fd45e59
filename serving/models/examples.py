"""Classify, Regress and MultiInference: tf.Examples in, classes or values out."""

from collections.abc import Mapping

import numpy as np
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    regression_pb2,
)

from keras_attn.serving.errors import Code, ServingError, invalid_argument
from keras_attn.serving.models.inference import fill_model_spec, run_examples
from keras_attn.serving.models.served_model import DEFAULT_SIGNATURE, ServedModel

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
INPUTS = "inputs"
CLASSES, SCORES, VALUES = "classes", "scores", "outputs"

# What one task reads of the graph: its input, and its outputs by their roles.
Plan = tuple[str, dict[str, str]]


def classify(
    model: ServedModel, request: classification_pb2.ClassificationRequest
) -> classification_pb2.ClassificationResponse:
    """Answers a ClassificationRequest."""
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    source, outputs = _plan(model, name, CLASSIFY, "No signature was found with the name: ")
    examples = _examples(request.input)
    arrays = run_examples(model, examples, [source], list(outputs.values()))
    response = classification_pb2.ClassificationResponse()
    response.result.CopyFrom(_classifications(outputs, arrays, len(examples)))
    fill_model_spec(response.model_spec, request.model_spec.name, model, name)
    return response


def regress(
    model: ServedModel, request: regression_pb2.RegressionRequest
) -> regression_pb2.RegressionResponse:
    """Answers a RegressionRequest."""
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    source, outputs = _plan(model, name, REGRESS, "No signature was found with the name: ")
    examples = _examples(request.input)
    arrays = run_examples(model, examples, [source], list(outputs.values()))
    response = regression_pb2.RegressionResponse()
    response.result.CopyFrom(_regressions(outputs, arrays, len(examples)))
    fill_model_spec(response.model_spec, request.model_spec.name, model, name)
    return response


def multi_inference(
    model: ServedModel, request: inference_pb2.MultiInferenceRequest
) -> inference_pb2.MultiInferenceResponse:
    """Answers several tasks over the same examples, in one run of the graph."""
    plans: dict[str, Plan] = {}
    for task in request.tasks:
        spec = task.model_spec
        if not spec.name:
            raise invalid_argument("Found ModelSpec with an empty model name.")
        if spec.name != request.tasks[0].model_spec.name:
            raise invalid_argument(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = spec.signature_name or DEFAULT_SIGNATURE
        if name in plans:
            raise invalid_argument(f"Duplicate evaluation of signature: {name}")
        if name in model.signatures and task.method_name not in (CLASSIFY, REGRESS):
            raise ServingError(
                Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}"
            )
        missing = "Requested signature not found in model graph: "
        plans[name] = _plan(model, name, task.method_name, missing)
    examples = _examples(request.input)
    arrays = run_examples(
        model,
        examples,
        {source for source, _ in plans.values()},
        [tensor for _, outputs in plans.values() for tensor in outputs.values()],
    )
    response = inference_pb2.MultiInferenceResponse()
    for task, (name, (_, outputs)) in zip(request.tasks, plans.items(), strict=True):
        result = response.results.add()
        if task.method_name == CLASSIFY:
            result.classification_result.CopyFrom(_classifications(outputs, arrays, len(examples)))
        else:
            result.regression_result.CopyFrom(_regressions(outputs, arrays, len(examples)))
        fill_model_spec(result.model_spec, task.model_spec.name, model, name)
    return response


def _plan(model: ServedModel, name: str, method: str, missing: str) -> Plan:
    if name not in model.signatures:
        raise invalid_argument(f"{missing}{name}")
    signature, text = model.signatures[name], str(model.signature_defs[name])
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    roles: tuple[str, ...]
    if method == CLASSIFY:
        word, roles, most = "classification", (CLASSES, SCORES), 2
        wrong = f"Expected one or two output Tensors, found {len(signature.outputs)}"
        no_output = (
            "Expected classification signature outputs to contain at least one of "
            f'"{CLASSES}" or "{SCORES}". Signature was: {text}'
        )
    else:
        word, roles, most = "regression", (VALUES,), 1
        wrong = "Expected one output Tensor."
        no_output = f"No regression outputs found in SignatureDef: {text}"
    if not 1 <= len(signature.outputs) <= most:
        raise invalid_argument(wrong)
    if INPUTS not in signature.inputs:
        raise invalid_argument(f"No {word} inputs found in SignatureDef: {text}")
    outputs = {role: signature.outputs[role].name for role in roles if role in signature.outputs}
    if not outputs:
        raise invalid_argument(no_output)
    info = signature.inputs[INPUTS]
    if info.dtype != "string":
        raise invalid_argument(f"Expects arg[0] to be {info.dtype} but string is provided")
    return info.name, outputs


def _examples(value: input_pb2.Input) -> list[bytes]:
    """The serialized examples; a context is merged into each by putting its bytes before."""
    context, examples = b"", value.example_list.examples
    if value.WhichOneof("kind") == "example_list_with_context":
        context = value.example_list_with_context.context.SerializeToString()
        examples = value.example_list_with_context.examples
    if not examples:
        raise invalid_argument("Input is empty.")
    return [context + example.SerializeToString() for example in examples]


def _classifications(
    outputs: Mapping[str, str], arrays: Mapping[str, np.ndarray], count: int
) -> classification_pb2.ClassificationResult:
    found = {role: arrays[tensor] for role, tensor in outputs.items()}
    for role, array in found.items():
        kind, name = (np.object_, "DT_STRING") if role == CLASSES else (np.float32, "DT_FLOAT")
        if array.ndim != 2:
            raise invalid_argument(
                "Expected Tensor shape: [batch_size num_classes] but got "
                f"[{','.join(map(str, array.shape))}]"
            )
        if array.dtype != kind:
            raise invalid_argument(f"Expected {role} Tensor of {name}. Got: {array.dtype}")
        if len(array) != count:
            raise invalid_argument(
                f"Expected {role} output batch size of {count}. Got: {len(array)}"
            )
    widths = [array.shape[1] for array in found.values()]
    if len(set(widths)) > 1:
        raise invalid_argument(
            f"Tensors class and score should match in dim_size(1). Got {widths[0]} vs. {widths[1]}"
        )
    result = classification_pb2.ClassificationResult()
    labels = found[CLASSES].tolist() if CLASSES in found else None
    scores = found[SCORES].tolist() if SCORES in found else None
    for i in range(count):
        classes = result.classifications.add().classes
        for j in range(widths[0]):
            one = classes.add()
            if labels is not None:
                # A label that is no UTF-8 can't be a string of a message.
                one.label = labels[i][j].decode("utf-8", "replace")
            if scores is not None:
                one.score = scores[i][j]
    return result


def _regressions(
    outputs: Mapping[str, str], arrays: Mapping[str, np.ndarray], count: int
) -> regression_pb2.RegressionResult:
    array = arrays[outputs[VALUES]]
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        raise invalid_argument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
            f"but got [{','.join(map(str, array.shape))}]"
        )
    if len(array) != count:
        raise invalid_argument(
            f"Input batch size did not match output batch size: {count} vs. {len(array)}"
        )
    if array.dtype != np.float32:
        raise invalid_argument(f"Expected output Tensor of DT_FLOAT.  Got: {array.dtype}")
    result = regression_pb2.RegressionResult()
    for value in array.reshape(-1).tolist():
        result.regressions.add(value=value)
    return result
