"""What a reader, an editor and a type checker see of each constructor."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys

import pytest

import keras_attn
from helpers.paths import ROOT
from keras_attn import applications
from keras_attn.applications.common.network import CONSTRUCTORS, Common

# A right call of each constructor, beyond what all take, and a wrong one.
CALLS = {
    "AAResNet34": ("positions='sinusoidal', kappa=0.5", "positions='absolute'"),
    "AAResNet50": ("stages=[3, 4], downsample=False", "stages=3"),
    "AAResNet101": ("attention=None", "attention='se'"),
    "AAResNet152": ("num_heads=4, geometry='caffe'", "num_heads='4'"),
    "BAMResNet18": ("combine='product'", "combine='mean'"),
    "BAMResNet34": ("ratio=8", "ratio='8'"),
    "BAMResNet50": ("stages=(1, 2)", "stage=1"),
    "BAMResNet101": ("weights='imagenet'", "weights=3"),
    "CBAMResNet18": ("zero_gamma=False", "zero_gama=False"),
    "CBAMResNet34": ("attention=None", "attention='bam'"),
    "CBAMResNet50": ("geometry='torchvision'", "geometry='mxnet'"),
    "CBAMResNet101": ("ratio=8, classes=10", "ratio=None"),
    "ECAResNet50": ("kernel_size=5", "kernel_size='5'"),
    "GCResNet50": ("placement='3x3', fusion='scale'", "fusion='sum'"),
    "GEResNet50": ("mode='theta', extent=4", "mode='theta_max'"),
    "SKResNet50": ("min_bottleneck_channels=16", "min_channels=16"),
    "SEBNInception": ("ratio=8, stages=[5]", "attention='aa'"),
    "CIFARResNet": ("32, attention=('aa', {'kappa': 0.5}), placement='pre'", "'32'"),
    "AAMnasNet": ("0.75, upsilon=0.1", "0.75, 0.1"),
    "MnasNet": ("width=1.4, attention='eca', placement='post'", "placement='front'"),
    "SEMobileNet": ("input_shape=(None, None, 3)", "input_shape=224"),
    "ResidualAttention56": ("geometry='pytorchcv'", "geometry='torchvision'"),
    "ResidualAttention92": ("masks=False", "masks='no'"),
    "ResidualAttentionInception56": ("learning='naive'", "learning='none'"),
    "ResidualAttentionNeXt56": ("mask_activation='channel'", "attention='channel'"),
    "ResidualAttentionNeXt92": ("pooling='avg', include_top=False", "pooling='mean'"),
    "ResidualAttentionCIFAR": ("92, mask_depths=(2, 2, 1)", "92, mask_depths=3"),
    "ResNet18": ("attention=lambda stage, block: 'se'", "attentions='se'"),
    "ResNet34": ("attention='se', placement='identity'", "placement=1"),
    "ResNet50": ("attention='bot', stages=[4]", "stages='four'.split"),
    "ResNet101": ("include_preprocessing=True", "include_preprocessing='yes'"),
    "ResNet152": ("name='mine'", "name=152"),
    "SENet154": ("classes=7", "classes='seven'"),
    "SEResNet18": ("placement='post'", "placement='branch'"),
    "SEResNet34": ("classifier_activation=None", "classifier_activation=3"),
    "SEResNet50": ("weights=None, input_tensor=None", "include_tops=False"),
    "SEResNet101": ("pyramid_outputs=['P3'], include_top=False", "pyramid_outputs=3"),
    "SEResNet152": ("ratio=4", "50"),
    "SEResNeXt50": ("placement='3x3'", "kappa=0.2"),
    "SEResNeXt101": ("stages=range(1, 3)", "stages=1.5"),
    "SEShuffleNet": ("attention=None", "groups=3"),
    "AAWideResNet28x10": ("min_key_dim=8", "downsample=True"),
    "TimmResNet": ("'resnest14d', classes=7", "variant=50"),
    "VoVNet": ("'ese_vovnet19b_dw'", "variant=39"),
    "WideResNet28x10": ("attention='cbam', stages=[2]", "depth=28"),
}
# One example of each docstring that is written out whole; of the others the network is another.
EXAMPLES = ("AAResNet34", "BAMResNet18", "CBAMResNet18", "CIFARResNet", "ECAResNet50")
EXAMPLES += (
    "GCResNet50",
    "GEResNet50",
    "MnasNet",
    "ResidualAttentionCIFAR",
    "ResNet18",
    "ResNet34",
)
EXAMPLES += ("SEBNInception", "SEMobileNet", "SEResNet18", "SEShuffleNet", "SKResNet50")
each_constructor = pytest.mark.parametrize("name", CALLS)


def test_every_constructor_has_its_calls():
    assert set(CALLS) == set(CONSTRUCTORS) and len(CALLS) == 45
    for name in CALLS:
        assert getattr(applications, name) is CONSTRUCTORS[name][0]


@each_constructor
def test_signature_docstring_and_source(name):
    construct = getattr(applications, name)
    source = inspect.getsource(construct)
    assert source.startswith("@network(") and f"\ndef {name}(" in source
    signature = inspect.signature(construct)
    assert list(signature.parameters)[-len(Common.__annotations__) :] == [*Common.__annotations__]
    assert not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    args = construct.__doc__.partition("\nArgs:\n")[2].partition("\n\nReturns:\n")[0]
    documented = re.findall(r"^    (\w+): ", args, flags=re.MULTILINE)
    assert documented == list(signature.parameters)
    assert construct.__name__ == construct.__qualname__ == name
    for section in ("Returns:", "Raises:", "Example:"):
        assert construct.__doc__.count(f"\n{section}\n") == 1


@pytest.mark.parametrize(
    "name", [n if n in EXAMPLES else pytest.param(n, marks=pytest.mark.slow) for n in CALLS]
)
@pytest.mark.thorough
def test_the_example(name, no_values):
    names = {"keras_attn": keras_attn}
    docstring = getattr(applications, name).__doc__
    test = doctest.DocTestParser().get_doctest(docstring, names, name, None, None)
    report: list[str] = []
    failures, attempts = doctest.DocTestRunner().run(test, out=report.append)
    assert attempts >= 2 and not failures, "".join(report)


def test_five_hops_to_the_first_convolution(monkeypatch):
    """The frames of ours between the call of SEResNet50 and that of Keras's layer."""
    frames = []

    def first(*args, **kwargs):
        stack = inspect.stack()[1:]
        frames.extend(f.function for f in stack if "/applications/" in f.filename)
        raise InterruptedError

    monkeypatch.setattr("keras_attn.applications.common.blocks.layers.Conv2D", first)
    with pytest.raises(InterruptedError):
        applications.SEResNet50()
    ours = frames[: frames.index("constructor") + 1]
    assert ours[-2] == "SEResNet50" and len(ours) - 1 <= 5, ours


def written(folder):
    """A file with a call a line, right ones and wrong ones, and the lines of the latter."""
    lines = ["from keras_attn import applications as networks"]
    wrong = []
    for name, calls in CALLS.items():
        for call in calls:
            lines.append(f"networks.{name}({call})")
            wrong += [len(lines)] if call is calls[1] else []
    (folder / "calls.py").write_text("\n".join(lines) + "\n")
    return folder / "calls.py", wrong


@pytest.mark.parametrize("checker", ["mypy", pytest.param("pyright", marks=pytest.mark.slow)])
def test_right_calls_pass_and_wrong_ones_are_refused(checker, tmp_path):
    file, wrong = written(tmp_path)
    if checker == "mypy":
        config = tmp_path / "mypy.ini"
        config.write_text("[mypy]\nignore_missing_imports = true\nfollow_imports = silent\n")
        cache = tmp_path / "cache"
        command = [sys.executable, "-m", "mypy", f"--config-file={config}", f"--cache-dir={cache}"]
        folder = ROOT
    else:  # from elsewhere: it must find the installed package
        command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
        folder = tmp_path
    run = subprocess.run(
        [*command, str(file)], cwd=folder, capture_output=True, text=True, timeout=600
    )
    found = re.findall(r"calls\.py:(\d+):.*\berror\b", run.stdout)
    assert sorted({int(line) for line in found}) == wrong, run.stdout + run.stderr
