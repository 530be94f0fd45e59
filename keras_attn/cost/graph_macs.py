"""Multiply-accumulates of TensorFlow's operations, for `keras_attn.cost`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

# Values of these depend on a tensor's shape and not on what it holds.
SHAPE_OPS = {"Shape", "ShapeN", "Size", "Rank"}
CALL_OPS = {"PartitionedCall", "StatefulPartitionedCall"}
CONTROL_FLOW_OPS = {"If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile"}
# By the convention of `count_cost` these cost nothing: they move numbers, or compute each from one
# or from its neighbours without weights.
_FREE = """
Abs Acos Acosh Add AddN AddV2 AdjustContrastv2 All Any ArgMax ArgMin Asin Asinh Assert
AssignVariableOp Atan Atan2 Atanh AvgPool AvgPool3D BatchToSpace BatchToSpaceND BiasAdd BiasAddV1
Bitcast BitwiseAnd BitwiseOr BitwiseXor BroadcastArgs BroadcastTo Bucketize Cast Ceil CheckNumerics
ClipByValue Complex ComplexAbs Concat ConcatV2 Conj Const Cos Cosh CropAndResize Cumprod Cumsum
CumulativeLogsumexp DepthToSpace Diag DiagPart Digamma Div DivNoNan DynamicPartition DynamicStitch
Elu Empty EnsureShape Equal Erf Erfc Erfinv Exp ExpandDims Expm1 ExtractImagePatches
FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel Fill Floor
FloorDiv FloorMod FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd GatherV2 Greater
GreaterEqual Identity IdentityN Igamma Igammac Imag InTopKV2 Inv InvertPermutation IsFinite IsInf
IsNan L2Loss LRN LeakyRelu LeftShift Less LessEqual Lgamma LinSpace Log Log1p LogSoftmax LogicalAnd
LogicalNot LogicalOr LowerBound MatrixBandPart MatrixDiag MatrixDiagPart MatrixDiagPartV2
MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 Max MaxPool
MaxPool3D MaxPoolV2 MaxPoolWithArgmax Maximum Mean Min Minimum MirrorPad Mod Mul MulNoNan
Multinomial Neg NextAfter NoOp NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NotEqual
NthElement OneHot OnesLike Pack Pad PadV2 Placeholder PlaceholderWithDefault Pow PreventGradient
Print PrintV2 Prod QuantizeAndDequantizeV2 QuantizeAndDequantizeV4 RandomStandardNormal
RandomUniform RandomUniformInt Range ReadVariableOp Real RealDiv Reciprocal Relu Relu6 Reshape
ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ResourceGather ResourceGatherNd
Reverse ReverseSequence ReverseV2 RightShift Rint Roll Round Rsqrt ScaleAndTranslate ScatterNd
SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Select SelectV2 Selu Sigmoid Sign Sin Sinh
Slice Snapshot Softmax Softplus Softsign SpaceToBatch SpaceToBatchND SpaceToDepth Split SplitV Sqrt
Square SquaredDifference Squeeze StatelessMultinomial StatelessRandomNormalV2
StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessTruncatedNormalV2 StopGradient
StridedSlice Sub Sum Tan Tanh TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub
TensorScatterUpdate Tile TopK TopKV2 Transpose TruncateDiv TruncateMod TruncatedNormal Unique
UniqueV2 Unpack UnravelIndex UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
UnsortedSegmentSum UpperBound VarHandleOp Where Xdivy Xlog1py Xlogy ZerosLike Zeta
"""
FREE_OPS = {*_FREE.split(), *SHAPE_OPS}


def count_graph(graph: Any, varying: set[Any]) -> tuple[int, tuple[str, ...]]:
    """MACs of a graph, and the types of operations of which it isn't known what they cost.

    Args:
        graph: A `tf.Graph`.
        varying: References to the inputs that vary with the image or the weights.

    Raises:
        ValueError: If a size is unknown, or the graph has loops or branches.
    """
    uncounted: set[str] = set()
    macs, _ = _count(graph, varying, uncounted)
    return macs, tuple(sorted(uncounted))


def _count(graph: Any, varying: set[Any], uncounted: set[str]) -> tuple[int, list[bool]]:
    """MACs of a graph, and which of its outputs vary; adds to `uncounted`."""
    macs = 0
    for op in graph.get_operations():
        varies = [t.ref() in varying for t in op.inputs]
        outputs_vary = [any(varies) and op.type not in SHAPE_OPS] * len(op.outputs)
        if op.type in CALL_OPS:
            body = _body(graph, op)
            inner = {t.ref() for t, v in zip(body.inputs, varies, strict=True) if v}
            inside, outputs_vary = _count(body, inner, uncounted)
            macs += inside
        elif op.type in CONTROL_FLOW_OPS:
            raise ValueError(
                "`model` must have no loops and branches. Received: a model whose graph has the "
                f"{op.type} {op.name!r}"
            )
        elif op.type in PRODUCTS:
            count, factors = PRODUCTS[op.type]
            if all(varies[factors]):
                macs += count(op)
        elif any(varies) and op.type not in FREE_OPS:
            uncounted.add(op.type)
        varying |= {t.ref() for t, v in zip(op.outputs, outputs_vary, strict=True) if v}
    return macs, [t.ref() in varying for t in graph.outputs]


def _body(graph: Any, op: Any) -> Any:
    """The graph of the function that `op` calls."""
    name = op.get_attr("f").name
    while name not in graph._functions and hasattr(graph, "outer_graph"):
        graph = graph.outer_graph
    return graph._get_function(name).graph


def _shape(tensor: Any) -> list[int]:
    if not tensor.shape.is_fully_defined():
        raise ValueError(
            "`model` must have a known size everywhere once the image's is known. "
            f"Received: {tensor.name!r} of shape {tensor.shape}"
        )
    sizes: list[int] = tensor.shape.as_list()
    return sizes


def _convolution(op: Any) -> int:
    kernel = _shape(op.inputs[1])  # (height, width, channels of a group, filters)
    return math.prod(_shape(_undilated(op.outputs[0]))) * math.prod(kernel[:-1])


def _depthwise(op: Any) -> int:
    kernel = _shape(op.inputs[1])  # (height, width, channels, multiplier)
    return math.prod(_shape(_undilated(op.outputs[0]))) * math.prod(kernel[:2])


def _transposed(op: Any) -> int:
    _, kernel, image = op.inputs  # the first is the output's shape
    return math.prod(_shape(image)) * math.prod(_shape(kernel)[:-1])  # (..., filters, channels)


def _transposed_depthwise(op: Any) -> int:
    _, kernel, image = op.inputs
    return math.prod(_shape(image)) * math.prod(_shape(kernel)[:2])


def _undilated(output: Any) -> Any:
    """TensorFlow may dilate by padded blocks of pixels; what is cut off again does not count."""
    for op in output.consumers():
        if op.type == "BatchToSpaceND":
            return op.outputs[0]
        if op.type == "Squeeze":  # of one dimension, which is a convolution of two
            inner = _undilated(op.outputs[0])
            if inner is not op.outputs[0]:
                return inner
    return output


def _matmul(op: Any) -> int:
    transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    return math.prod(_shape(op.outputs[0])) * _shape(op.inputs[0])[-2 if transposed else -1]


def _einsum(op: Any) -> int:
    """Size of the output times the sizes of the indices that are summed; a sum alone is none."""
    if len(op.inputs) < 2:
        return 0
    terms, output = op.get_attr("equation").decode().split("->")
    summed: dict[str, int] = {}
    for term, tensor in zip(terms.split(","), op.inputs, strict=True):
        left, _, right = term.partition("...")
        shape = _shape(tensor)
        sizes = [*zip(left, shape, strict=False)]
        if right:
            sizes += zip(right, shape[-len(right) :], strict=True)
        summed |= {index: size for index, size in sizes if index not in output}
    return math.prod(_shape(op.outputs[0])) * math.prod(summed.values())


_TWO, _BEHIND_SHAPE = slice(0, 2), slice(1, 3)
# Type -> what counts it, and which of its inputs are multiplied with each other.
PRODUCTS: dict[str, tuple[Callable[[Any], int], slice]] = {
    "Conv": (_convolution, _TWO),
    "Conv2D": (_convolution, _TWO),
    "Conv3D": (_convolution, _TWO),
    "DepthwiseConv2dNative": (_depthwise, _TWO),
    "Conv2DBackpropInput": (_transposed, _BEHIND_SHAPE),
    "Conv3DBackpropInputV2": (_transposed, _BEHIND_SHAPE),
    "DepthwiseConv2dNativeBackpropInput": (_transposed_depthwise, _BEHIND_SHAPE),
    "MatMul": (_matmul, _TWO),
    "BatchMatMul": (_matmul, _TWO),
    "BatchMatMulV2": (_matmul, _TWO),
    "BatchMatMulV3": (_matmul, _TWO),
    "Einsum": (_einsum, slice(None)),
}
