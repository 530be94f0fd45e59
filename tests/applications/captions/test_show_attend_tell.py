"""The loss of captions by closed forms, and the model by plain `fit`; on every backend."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.applications import ShowAttendTell
from keras_attn.backend import value_and_gradient

DTYPE, EXACT = ("float64", 1e-9) if keras.backend.backend() == "tensorflow" else ("float32", 2e-3)
SIDES = (1, 3)


def network(vocabulary=5, length=2, dtype=None, **options):
    """On features that are the image itself: each of 3 places a vector of 4."""
    image = keras.Input((*SIDES, 4))
    backbone = keras.Model(image, keras.layers.Activation("linear", dtype=dtype)(image))
    options = {"dropout": 0.0, "seed": 1, **options}
    return ShowAttendTell(
        backbone,
        vocabulary,
        max_length=length,
        embedding_dim=3,
        units=4,
        attention_units=3,
        dtype=dtype,
        **options,
    )


def randomised(model):
    rng = np.random.default_rng(4)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 1, weight.shape))
    return model


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_the_soft_loss_by_hand():
    model = randomised(network(length=4, doubly_stochastic=0.7))
    images = np.random.default_rng(0).normal(size=(2, *SIDES, 4)).astype("float32")
    tokens = np.array([[2, 3, 0, 0], [4, 1, 2, 3]])
    counts = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
    found = model({"image": images, "tokens": tokens})
    log_p = log_softmax(ops.convert_to_numpy(found["logits"]))
    log_p = np.take_along_axis(log_p, tokens[..., None], -1)[..., 0] * counts
    seen = (ops.convert_to_numpy(found["attention"]) * counts[..., None, None]).sum(1)
    by_hand = -log_p.sum(1) + 0.7 * ((1 - seen) ** 2).sum((1, 2))
    loss = model.compute_loss(y=ops.convert_to_tensor(tokens), y_pred=found)
    assert float(ops.convert_to_numpy(loss)) == pytest.approx(by_hand.mean(), rel=1e-5)
    weights = ops.convert_to_tensor([1.0, 3.0])
    weighted = model.compute_loss(
        y=ops.convert_to_tensor(tokens), y_pred=found, sample_weight=weights
    )
    assert float(ops.convert_to_numpy(weighted)) == pytest.approx(
        (by_hand * [1, 3]).mean(), rel=1e-5
    )


def test_what_follows_the_end_counts_for_nothing():
    model = randomised(network(length=4))
    images = np.random.default_rng(0).normal(size=(1, *SIDES, 4)).astype("float32")
    losses = []
    for rest in ([0, 0], [3, 4]):
        tokens = np.array([[2, 0, *rest]])
        found = model({"image": images, "tokens": tokens})
        loss = model.compute_loss(y=ops.convert_to_tensor(tokens), y_pred=found)
        losses.append(float(ops.convert_to_numpy(loss)))
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("length", "penalty"), [(3, 0.0), (4, 1 / 3), (2, 1 / 3)])
def test_the_doubly_stochastic_term_of_even_looks(length, penalty):
    """Of L = 3 places and T words that look at all alike, it is L (T / L - 1)^2."""
    tokens = ops.convert_to_tensor(np.full((1, length), 2))
    even = {
        "logits": ops.zeros((1, length, 5)),
        "attention": ops.full((1, length, *SIDES), 1 / 3),
    }
    losses = [
        float(network(doubly_stochastic=w).compute_loss(y=tokens, y_pred=even)) for w in (0.0, 1.0)
    ]
    assert losses[0] == pytest.approx(length * np.log(5), rel=1e-6)
    assert losses[1] - losses[0] == pytest.approx(penalty, abs=1e-5)


@pytest.mark.parametrize("part", ["attention/of_state/kernel", "attention/energy/kernel"])
@pytest.mark.parametrize("baseline", [0.0, -1.7])
def test_the_estimators_mean_over_all_paths(part, baseline):
    """Two looks at one of three places: the mean over the 9 is the gradient of E[log p]."""
    model = randomised(
        network(mode="hard", doubly_stochastic=0.0, entropy=0.0, dtype=DTYPE, expectation_rate=0.0)
    )
    decoder = model.get_layer("decoder")
    decoder.baseline.kernel.assign(np.zeros(decoder.baseline.kernel.shape))
    decoder.baseline.bias.assign([baseline])
    paths = np.array(list(itertools.product(range(3), repeat=2)))
    image = np.random.default_rng(0).normal(size=(1, *SIDES, 4))
    images, tokens = np.repeat(image, 9, axis=0), np.tile([[2, 3]], (9, 1))
    weights = decoder.trainable_variables
    index = [w.path.split("/", 1)[1] for w in weights].index(part)
    others = [w.value for w in decoder.non_trainable_variables]

    def of(weight):
        given = [w.value for w in weights]
        given[index] = weight
        return decoder.stateless_call(given, others, images, tokens, places=paths)[0]

    def expected_log_p(weight):
        found = {k: ops.convert_to_numpy(v).astype("float64") for k, v in of(weight).items()}
        log_p = np.take_along_axis(log_softmax(found["logits"]), tokens[..., None], -1)
        return float((np.exp(found["log_densities"].sum(1)) * log_p[..., 0].sum(1)).sum())

    value = ops.convert_to_numpy(weights[index].value)
    probability = np.exp(ops.convert_to_numpy(of(value)["log_densities"]).sum(1))
    assert probability.sum() == pytest.approx(1, abs=1e-5)

    def loss(weight):
        found = of(weight)
        counts = ops.convert_to_tensor(9 * probability, found["logits"].dtype)
        y = ops.convert_to_tensor(tokens)
        return model.compute_loss(y=y, y_pred=found, sample_weight=counts), None

    gradient = -ops.convert_to_numpy(
        value_and_gradient(loss, ops.convert_to_tensor(weights[index].value))[1]
    )
    step = 1e-5 if DTYPE == "float64" else 1e-2
    for place in list(np.ndindex(*value.shape))[:4]:
        off = np.zeros_like(value)
        off[place] = step
        difference = (expected_log_p(value + off) - expected_log_p(value - off)) / (2 * step)
        assert gradient[place] == pytest.approx(difference, abs=EXACT)


def test_the_baseline_teaches_the_rest_nothing():
    model = randomised(network(mode="hard", doubly_stochastic=0.0, entropy=0.0))
    decoder = model.get_layer("decoder")
    images = np.random.default_rng(0).normal(size=(2, *SIDES, 4)).astype("float32")
    tokens, others = np.array([[2, 3], [4, 1]]), [w.value for w in decoder.non_trainable_variables]
    weights = decoder.trainable_variables
    index = [w.path.split("/", 1)[1] for w in weights].index("core/kernel")

    def loss(weight):
        given = [w.value for w in weights]
        given[index] = weight
        found = decoder.stateless_call(given, others, images, tokens)[0]
        return ops.sum(ops.square(found["baselines"])), None

    gradient = value_and_gradient(loss, ops.convert_to_tensor(weights[index].value))[1]
    assert gradient is None or not ops.convert_to_numpy(gradient).any()


@pytest.mark.parametrize("mode", ["soft", pytest.param("hard", marks=pytest.mark.slow)])
@pytest.mark.thorough
def test_it_learns_by_fit(mode, tmp_path):
    """A word for the place that is marked, and the end."""
    rng = np.random.default_rng(0)
    places = rng.integers(0, 3, 192)
    images = rng.normal(0, 0.1, (192, 3, 4)).astype("float32")
    images[np.arange(192), places, 0] = 3
    images[np.arange(192), places, 1:] = np.eye(3)[places] * 3
    data = {"image": images.reshape(-1, *SIDES, 4), "tokens": np.stack([places + 2, 0 * places], 1)}
    keras.utils.set_random_seed(0)
    model = network(mode=mode, doubly_stochastic=0.0)
    jit = keras.backend.backend() == "jax"  # where there is nothing between that and single steps
    model.compile(keras.optimizers.Adam(0.05), metrics=["accuracy"], jit_compile=jit)
    history = model.fit(data, data["tokens"], batch_size=32, epochs=8, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    found = model.generate(data["image"], max_length=3, beam_width=2)
    assert (found["tokens"][:, 0] == places + 2).mean() > 0.9
    assert (found["tokens"][:, 1:] == 0).all()
    model.save(tmp_path / "captions.keras")
    again = keras.models.load_model(tmp_path / "captions.keras")
    assert (again.doubly_stochastic, again.entropy) == (0.0, 0.02)
    same = again.generate(data["image"], max_length=3, beam_width=2)
    for name, value in found.items():
        np.testing.assert_allclose(same[name], value, atol=1e-6)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="`doubly_stochastic` must be 0 or more. .*-1"):
        network(doubly_stochastic=-1)
    with pytest.raises(ValueError, match="`y` must be the captions' tokens, .B, 2.. .*(4, 3)"):
        network().compute_loss(
            y=ops.zeros((4, 3), "int32"),
            y_pred={"logits": ops.zeros((4, 2, 5)), "attention": ops.zeros((4, 2, 1, 3))},
        )
