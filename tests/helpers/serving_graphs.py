"""SavedModels written by TensorFlow 1's builder: what `tf.saved_model.save` can't write."""

from __future__ import annotations

import tensorflow as tf

v1 = tf.compat.v1


def tensor_info(tensor):
    return tf.compat.v1.saved_model.utils.build_tensor_info(tensor)


def save_line(folder, *, lines=None, shape=(None, 1), defaults=None):
    """Writes `y = slope * x + offset`, where `x` is declared with a shape that the graph ignores.

    Args:
        folder: Where to.
        lines: Slope and offset by the tag set of a graph. Default: TF Serving's half_plus_two.
        shape: The declared shape.
        defaults: Values of the inputs `x`, `slope` and `offset` that a request may leave out;
            then all three are inputs.
    """
    builder = v1.saved_model.Builder(str(folder))
    for index, (tags, (slope, offset)) in enumerate((lines or {("serve",): (0.5, 2.0)}).items()):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, shape, name="x")
            a = v1.placeholder_with_default(tf.constant(slope), [], name="slope")
            b = v1.placeholder_with_default(tf.constant(offset), [], name="offset")
            inputs = {"x": x} if defaults is None else {"x": x, "slope": a, "offset": b}
            signature = v1.saved_model.build_signature_def(
                {name: tensor_info(tensor) for name, tensor in inputs.items()},
                {"y": tensor_info(tf.add(x * a, b, name="y"))},
                "tensorflow/serving/predict",
            )
            for name, value in (defaults or {}).items():
                signature.defaults[name].CopyFrom(tf.make_tensor_proto(value, tf.float32))
            signatures = {"serving_default": signature}
            if index == 0:
                builder.add_meta_graph_and_variables(session, list(tags), signatures)
            else:
                builder.add_meta_graph(list(tags), signatures)
    builder.save()
    return folder
