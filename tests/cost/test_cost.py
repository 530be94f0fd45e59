"""Counted costs against formulas, against the authors' tables, and the table that is checked in."""

from __future__ import annotations

import doctest

import keras
import pytest
import tensorflow as tf
from keras import layers

from helpers.marks import rest_thorough
from keras_attn import cost as cost_module
from keras_attn import insertion
from keras_attn.applications import MODELS
from keras_attn.cli import main
from keras_attn.cost import (
    COSTS,
    Cost,
    attention,
    attention_count,
    attention_described,
    count_cost,
    read_costs,
    write_costs,
)
from keras_attn.cost.attention import (
    ATTENTION_COSTS,
    AttentionCost,
    attention_cells,
    attention_notes,
    attention_rows,
    read_attention_costs,
)
from keras_attn.cost.attention_count import count_attention_costs, write_attention_costs
from keras_attn.layers import (
    AugmentedConv2D,
    GroupedConv2D,
    SelfAttention2D,
    SqueezeExcite,
)
from keras_attn.layers.building_blocks.resize import resize_bilinear

QUICK = ["resnet20_cifar", "aa_resnet20_cifar", "se_mobilenet", "se_shufflenet", "mnasnet_0.75"]


def macs(*stack, shape=(7, 5, 12)):
    return count_cost(keras.Sequential([keras.Input(shape), *stack])).macs


def test_convolutions():
    places, channels, filters = 7 * 5, 12, 10
    assert macs(layers.Conv2D(filters, 3, padding="same")) == places * 9 * channels * filters
    assert macs(layers.Conv2D(filters, (1, 5))) == 7 * 1 * 5 * channels * filters
    assert macs(layers.Conv2D(filters, 3, strides=2)) == 3 * 2 * 9 * channels * filters
    assert macs(layers.Conv2D(filters, 3, dilation_rate=2)) == 3 * 1 * 9 * channels * filters
    assert macs(layers.DepthwiseConv2D(3, padding="same")) == places * 9 * channels
    assert macs(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)) == (
        places * 9 * channels * 2
    )


def test_transposed_convolutions():
    """The kernel at each place of the input, whatever is cut off at the edges."""
    places, channels, filters = 7 * 5, 12, 10
    for options in ({}, {"strides": 2}, {"strides": 2, "padding": "same"}, {"dilation_rate": 2}):
        layer = layers.Conv2DTranspose(filters, 3, **options)
        assert macs(layer) == places * 9 * channels * filters, options
    assert macs(layers.Conv1DTranspose(10, 3, strides=2), shape=(7, 12)) == 7 * 3 * 12 * 10
    assert macs(layers.Conv3DTranspose(2, 3), shape=(3, 4, 5, 6)) == 60 * 27 * 6 * 2


def test_convolutions_of_one_and_three_dimensions():
    assert macs(layers.Conv1D(10, 3), shape=(7, 12)) == 5 * 3 * 12 * 10
    dilated = layers.Conv1D(10, 3, dilation_rate=2, padding="causal")
    assert macs(dilated, shape=(7, 12)) == 7 * 3 * 12 * 10
    assert macs(layers.DepthwiseConv1D(3), shape=(7, 12)) == 5 * 3 * 12
    assert macs(layers.SeparableConv1D(10, 3), shape=(7, 12)) == 5 * 3 * 12 + 5 * 12 * 10
    assert macs(layers.SeparableConv2D(10, 3)) == 5 * 3 * 9 * 12 + 5 * 3 * 12 * 10
    for options, places in (({}, 2 * 3 * 4), ({"dilation_rate": 2}, 1 * 2 * 3)):
        layer = layers.Conv3D(2, 2, **options)
        assert macs(layer, shape=(3, 4, 5, 6)) == places * 8 * 6 * 2, options


def test_attention_of_keras():
    """Projections of queries, keys, values and outputs, and the two products of attention."""
    tokens, width, heads, key = 7, 12, 2, 5
    image = keras.Input((tokens, width))
    model = keras.Model(image, layers.MultiHeadAttention(heads, key)(image, image))
    products = 2 * tokens**2 * heads * key
    assert count_cost(model).macs == 4 * tokens * width * heads * key + products


def test_what_is_not_counted_is_named():
    """What costs something, or isn't known; an operation on fixed numbers does not."""

    class Fourier(layers.Layer):
        def call(self, x):
            fixed = tf.abs(tf.linalg.cholesky(tf.eye(7)))
            square = tf.matmul(x, x, transpose_b=True) + fixed
            return tf.abs(tf.signal.rfft(tf.linalg.solve(square, x)))

        def compute_output_shape(self, shape):
            return (None, 7, 3)

    counted = count_cost(keras.Sequential([keras.Input((7, 5)), Fourier(), layers.Dense(2)]))
    assert counted.uncounted == ("MatrixSolve", "RFFT")
    assert counted.macs == 7 * 7 * 5 + 7 * 3 * 2
    assert count_cost(keras.Sequential([keras.Input((7, 5)), layers.Dense(2)])).uncounted == ()


def test_a_sum_written_as_a_product_counts_zero():
    class Means(layers.Layer):
        def call(self, x):
            return tf.einsum("bhwc->bc", x)

        def compute_output_shape(self, shape):
            return (None, shape[-1])

    assert macs(Means()) == 0


def test_groups_in_a_function_of_their_own():
    """Keras compiles its grouped convolution by XLA, in a nested function; ours are split."""
    expected = 7 * 5 * 9 * (12 // 3) * 6
    assert macs(layers.Conv2D(6, 3, padding="same", groups=3)) == expected
    assert macs(GroupedConv2D(6, 3, padding="same", groups=3)) == expected


def test_nested_functions_know_what_varies():
    """A product of the image and a constant counts zero in a function, too."""

    class Outer(layers.Layer):
        def call(self, x):
            @tf.function
            def inner(x, constant):
                squared = tf.matmul(x, x, transpose_b=True)
                return squared, tf.matmul(constant, x), constant, tf.shape(x)[0]

            squared, mixed, constant, _ = inner(x, tf.ones((3, 4)))
            return tf.matmul(squared, squared) + tf.reduce_sum(tf.matmul(constant, x) + mixed)

        def compute_output_shape(self, shape):
            return (shape[0], 4, 4)

    assert macs(Outer(), shape=(4, 5)) == 4 * 4 * 5 + 4 * 4 * 4


def test_dense_and_gates():
    assert macs(layers.Flatten(), layers.Dense(11)) == 7 * 5 * 12 * 11
    assert macs(layers.Dense(11)) == 7 * 5 * 12 * 11
    assert macs(SqueezeExcite(4)) == 2 * 12 * 3
    assert macs(layers.EinsumDense("bhwc,cd->bhwd", (None, None, 11))) == 7 * 5 * 12 * 11
    assert macs(layers.EinsumDense("...c,cd->...d", 11)) == 7 * 5 * 12 * 11


def test_what_counts_zero():
    assert macs(layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(2)) == 0
    assert macs(layers.GlobalAveragePooling2D(), layers.Softmax(), layers.Rescaling(0.5)) == 0


@pytest.mark.parametrize("align_corners", [True, False])
def test_interpolation_counts_zero(align_corners):
    class Resize(layers.Layer):
        def call(self, x):
            return resize_bilinear(x, (13, 11), align_corners)

    assert macs(Resize()) == 0
    convolved = macs(layers.Conv2D(4, 1), Resize(), layers.Conv2D(4, 1))
    assert convolved == 7 * 5 * 12 * 4 + 13 * 11 * 4 * 4


def test_attention():
    places, c, heads, dk, dv = 7 * 5, 12, 2, 6, 10
    arguments = dict(num_heads=heads, key_depth=dk, value_depth=dv)
    projections = places * c * (2 * dk + dv) + places * dv * dv
    products = places**2 * dk + places**2 * dv
    relative = places * dk * (7 + 5)  # each query with the rows and the columns of the map
    assert macs(SelfAttention2D(relative=False, **arguments)) == projections + products
    assert macs(SelfAttention2D(**arguments)) == projections + products + relative


def test_augmented_convolution_of_the_spec():
    """Section 4.1: 181,368 parameters for 128 filters at 14x14; its attention pools by 2."""
    layer = AugmentedConv2D.from_ratios(
        128, 3, kappa=0.2, upsilon=0.1, num_heads=8, use_bias=False, attention_strides=2
    )
    counted = count_cost(keras.Sequential([keras.Input((28, 28, 128)), layer]))
    assert counted.parameters == counted.trainable == 181_368
    dk, dv, places = 160, 8, 14 * 14
    attention = places * (128 * (2 * dk + dv) + dv * dv + places * (dk + dv) + 28 * dk)
    assert counted.macs == 28 * 28 * 9 * 128 * 120 + attention


@pytest.mark.parametrize("implementation", ["auto", "full", "chunked"])
def test_implementations_count_alike(implementation):
    """In chunks it would be a loop, and with its positions folded in more products."""
    arguments = dict(num_heads=2, key_depth=6, value_depth=10)
    layer = SelfAttention2D(implementation=implementation, max_logits_bytes=10**6, **arguments)
    assert macs(layer) == macs(SelfAttention2D(**arguments))


def test_a_model_stays_as_it_was():
    image = keras.Input((7, 5, 12))
    y, attention = SelfAttention2D(num_heads=2, key_depth=6, value_depth=10)(
        image, return_attention=True
    )
    model = keras.Model(
        image, [AugmentedConv2D(4, 3, num_heads=1, key_depth=2, value_depth=0)(y), attention]
    )
    before = model.to_json()
    counted = count_cost(model)
    assert model.to_json() == before
    assert count_cost(model) == counted
    assert counted.macs == 7 * 5 * (12 * 22 + 10 * 10 + 7 * 5 * 16 + 12 * 6 + 9 * 10 * 4)


def test_dtype_changes_nothing():
    layer = SelfAttention2D(num_heads=2, key_depth=6, value_depth=10, dtype="mixed_bfloat16")
    plain = SelfAttention2D(num_heads=2, key_depth=6, value_depth=10)
    assert macs(layer) == macs(plain)


def test_parameters():
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 1)])
    model.add(layers.BatchNormalization())
    assert count_cost(model) == Cost(16, 12, 4 * 4 * 3 * 2, (4, 4, 3))
    model.layers[0].trainable = False
    assert count_cost(model).trainable == 4
    assert count_cost(model).flops == 2 * count_cost(model).macs


def test_an_image_of_unknown_size():
    model = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 1)])
    assert count_cost(model, (4, 6, 3)).macs == 4 * 6 * 6
    assert count_cost(model, (4, 6, 3)).input_shape == (4, 6, 3)
    with pytest.raises(ValueError, match="`input_shape` must be given, as the input of"):
        count_cost(model)


def test_what_cannot_be_counted():
    with pytest.raises(ValueError, match="`model` must have one input. Received: model='unbuilt'"):
        count_cost(keras.Sequential([layers.Dense(2)], name="unbuilt"))
    image = keras.Input((4,))
    two = keras.Model([image, keras.Input((4,))], image, name="two")
    with pytest.raises(ValueError, match="`model` must have one input. Received: model='two'"):
        count_cost(two)

    class Loop(layers.Layer):
        def call(self, x):
            return tf.while_loop(lambda x: tf.reduce_sum(x) < 9, lambda x: [x + 1], [x])[0]

        def compute_output_shape(self, shape):
            return shape

    with pytest.raises(ValueError, match="`model` must have no loops and branches"):
        macs(Loop())

    class Unknown(layers.Layer):
        def call(self, x):
            rows = tf.boolean_mask(x[0, :, 0], x[0, :, 0, 0] > 0)
            return tf.matmul(rows, rows, transpose_b=True)

        def compute_output_shape(self, shape):
            return (None, None)

    with pytest.raises(ValueError, match="`model` must have a known size everywhere"):
        macs(Unknown())


@pytest.mark.parametrize(
    "name, expected",
    [("residual_attention56_cifar", 122_825_216), ("residual_attention56", 6_270_836_736)],
)
@pytest.mark.thorough
def test_residual_attention(name, expected):
    assert count_cost(MODELS[name]()).macs == expected


# From here on the table that is checked in, which
# `keras-attn models --count --csv keras_attn/cost/costs.csv` writes.


def test_the_table_has_every_network():
    assert list(read_costs()) == list(MODELS)


@pytest.mark.parametrize("name", rest_thorough(QUICK, fast=2))
def test_the_table_is_what_is_counted(name):
    assert read_costs()[name] == count_cost(MODELS[name]())


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_whole_table_is_what_is_counted(name):
    counted = count_cost(MODELS[name]())
    keras.backend.clear_session()
    assert read_costs()[name] == counted


# Sections 1.1 and 4.2 of the authors' prototxts' counts; 3.2 of the paper's; 4.1, 4.2 and 4.4.
@pytest.mark.parametrize(
    "name, expected",
    [
        ("residual_attention56", {"parameters": 31_883_432, "macs": 6_270_836_736}),
        ("residual_attention92", {"parameters": 52_599_976, "macs": 10_533_789_696}),
        ("residual_attention_next56", {"parameters": 31_417_256, "macs": 6_419_106_816}),
        ("residual_attention_next92", {"parameters": 52_274_088, "macs": 10_704_337_920}),
        ("se_resnet50", {"trainable": 28_088_024}),
        ("se_resnet101", {"trainable": 49_326_872}),
        ("se_resnet152", {"trainable": 66_821_848}),
        ("se_resnext50", {"trainable": 27_559_896}),
        ("se_resnext101", {"trainable": 48_955_416}),
        ("senet154", {"trainable": 115_088_984}),
        ("se_bn_inception", {"trainable": 11_931_622}),
        ("cbam_resnet18", {"trainable": 11_779_392}),
        ("cbam_resnet34", {"trainable": 21_960_468}),
        ("cbam_resnet50", {"trainable": 28_089_624}),
        ("cbam_resnet101", {"trainable": 49_330_172}),
        ("bam_resnet18", {"trainable": 11_712_503}),
        ("bam_resnet34", {"trainable": 21_820_663}),
        ("bam_resnet50", {"trainable": 25_915_099}),
        ("bam_resnet101", {"trainable": 44_907_227}),
        ("ge_resnet50_theta_minus", {"trainable": 25_557_032}),
        ("ge_resnet50_theta", {"trainable": 31_106_600}),
        ("ge_resnet50_theta_plus", {"trainable": 33_637_592}),
        ("aa_resnet34", {"trainable": 20_745_072}),
        ("aa_resnet50", {"trainable": 25_809_392}),
        ("aa_resnet101", {"trainable": 45_386_728}),
        ("aa_resnet152", {"trainable": 61_613_536}),
        ("aa_wide_resnet28x10", {"trainable": 36_054_100}),
        ("wide_resnet28x10", {"trainable": 36_278_324}),
    ],
)
def test_exact_counts(name, expected):
    row = read_costs()[name]
    assert {key: getattr(row, key) for key in expected} == expected


@pytest.mark.parametrize(
    "name, gflops", [("resnet50", 8.18), ("resnet101", 15.60), ("wide_resnet28x10", 10.43)]
)
def test_gflops(name, gflops):
    assert round(read_costs()[name].flops / 1e9, 2) == gflops


def test_table_round_trip(tmp_path):
    costs = read_costs()
    write_costs(costs, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == COSTS.read_bytes()


def test_models_prints_the_table(capsys):
    assert main(["models"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    for name in MODELS:
        [line] = [line for line in lines if line.startswith(f"{name} ")]
        assert f"{read_costs()[name].parameters:,}" in line
    assert all(len(line) < 200 for line in lines)
    [line] = [line for line in lines if line.startswith("aa_wide_resnet28x10")]
    assert line.split()[1:9] == (
        ["32x32", "36,072,052", "36,054,100", "6.146", "12.292", "36.2M", "-0.4%", "10.9"]
    )
    note = line.split()[-1]
    [reason] = [line for line in lines if line.startswith(note)]
    assert "0.15M fewer" in reason
    [line] = [line for line in lines if line.startswith("wide_resnet28x10")]
    assert line.split()[6:10] == ["36.3M", "=", "10.4", "GFLOPs"]


def test_models_counts_a_part_of_them(capsys, tmp_path):
    path = tmp_path / "some.csv"
    assert main(["models", "se_resnet20", "--count", "--csv", str(path)]) == 0
    printed = capsys.readouterr()
    assert "[1/1] counting se_resnet20_cifar ..." in printed.err
    assert "273,471" in printed.out and "resnet32" not in printed.out
    assert read_costs(path) == {"se_resnet20_cifar": read_costs()["se_resnet20_cifar"]}


def test_models_without_a_match(capsys):
    assert main(["models", "se_renset"]) == 1
    assert "did you mean se_resnet" in capsys.readouterr().err


@pytest.mark.thorough
def test_the_docstrings_example():
    names = {"keras": keras, "count_cost": count_cost}
    assert doctest.testmod(cost_module, extraglobs=names).failed == 0
    assert doctest.testmod(attention).failed == 0
    assert doctest.testmod(attention_count).failed == 0
    assert doctest.testmod(attention_described).failed == 0


# What attention adds to ResNet-50: `python benchmarks/attention_family.py` writes the table.


def test_the_table_of_attention_has_every_kind():
    costs, run = read_attention_costs()
    assert list(costs) == ["none", *insertion.KINDS]
    assert "attention_family.py" in run and "keras" in run
    assert costs["none"].parameters == 25_557_032
    published = ("se", "cbam", "bam", "ge", "ge_theta_plus", "triplet", "sge")
    added = {kind: costs[kind].parameters for kind in published}
    assert added == {
        "se": 2_530_992,
        "cbam": 28_089_624 - 25_557_032,
        "bam": 25_915_099 - 25_557_032,
        "ge": 0,
        "ge_theta_plus": 33_637_592 - 25_557_032,
        "triplet": 4_800,
        "sge": 16 * 2 * 64,
    }
    for kind, millions in (("pyramid_squeeze", 22.56), ("cot", 22.22)):  # EPSANet-50, CoTNet-50
        assert round((25_557_032 + costs[kind].parameters) / 1e6, 2) == millions


@pytest.mark.slow
def test_the_table_of_attention_is_what_is_counted():
    counted, (table, _) = count_attention_costs(), read_attention_costs()
    for kind, cost in counted.items():
        assert (cost.parameters, cost.macs) == (table[kind].parameters, table[kind].macs), kind


def test_the_table_of_attention_says_what_a_kind_is():
    """Papers, forms and weights are those of the layers and the sets as they are now."""
    for kind, row in attention_rows().items():
        if kind != "none":
            assert (row.paper, row.link) == attention_described.paper_of(kind), kind
            assert row.form == attention_described.form_of(kind), kind
            assert row.weights == attention_described.weights_with(kind), kind
    rows = attention_rows()
    assert rows["sagan"].cited == "Zhang et al., ICML 2019"
    assert rows["gc"].cited == "Cao et al."
    assert rows["strip"].cited == "timm's own, after Hou et al., CVPR 2021"
    assert rows["halo"].weights[0] == "timm/halonet26t.a1h_in1k"
    assert "timm/lamhalobotnet50ts_256.a1h_in1k" in rows["bot"].weights
    assert rows["attention_module"].weights == (
        "phamquiluan/resattnet56",
        "cifar10/residual_attention56",
    )
    assert rows["triplet"].weights == ()


def test_attention_is_printed_with_its_notes(tmp_path):
    rows = attention_cells()
    assert [row["kind"] for row in rows] == list(insertion.KINDS)
    for row in rows:
        kind = insertion.KINDS[row["kind"]]
        assert row["layer"] == kind.layer.__name__ and row["stands"].endswith(kind.source)
    assert "issue 24" in attention_notes()

    costs = {"none": AttentionCost(100, 10**9, 50.0, 150.0), "se": AttentionCost(5, 10**6, 1.25)}
    write_attention_costs(costs, tmp_path / "some.csv", "by hand")
    assert read_attention_costs(tmp_path / "some.csv") == (costs, "by hand")
    [row] = attention_cells(tmp_path / "some.csv")
    assert list(row.values())[:4] == ["se", "SqueezeExcite", "Hu et al., CVPR 2018", "channel gate"]
    assert list(row.values())[4:10] == ["+5", "+5.0%", "+1.0", "+1.25", "-", "-"]
    assert int(row["sets"]) >= 30  # of published weights
    assert ATTENTION_COSTS.exists()
