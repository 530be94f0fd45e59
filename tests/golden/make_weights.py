"""Writes tests/golden/weights/*.npz: the logits of the sources' own networks with random weights.

A file holds the names and shapes of a network's tensors and its logits for two images, and no
weights: `tests/helpers/oracles/random_state.py` makes them anew from the names. With `_small` in
its name, stages are cut to 1, 2, 1 and 1 blocks. It runs in environments of its own:

    python3.11 -m venv oracles                          # as in make_timm.py
    oracles/bin/pip install --no-deps pytorchcv==0.0.74
    git clone https://github.com/Jongchan/attention-module
    oracles/bin/python tests/golden/make_weights.py timm
    oracles/bin/python tests/golden/make_weights.py timm-attention
    oracles/bin/python tests/golden/make_weights.py pytorchcv
    oracles/bin/python tests/golden/make_weights.py attention-module attention-module/
    python3.11 -m venv classifiers
    classifiers/bin/pip install tensorflow-cpu==2.15.1 image-classifiers==1.0.0 "numpy<2"
    classifiers/bin/python tests/golden/make_weights.py image-classifiers

Names behind these arguments make only the files that have one of them in their names.
"""

import importlib
import sys
import warnings
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "weights"
CLASSES = 11
SMALL = (1, 2, 1, 1)
SIZES = {"": ((224, 224), (193, 161)), "_small": ((64, 64), (107, 75))}
SQUARE = {"": ((224, 224), (192, 192)), "_small": ((64, 64), (96, 96))}

# timm's networks of `TimmResNet` and `VoVNet`, and a size beside their own. Average pools that
# round down need even maps; halo attention and BAT need maps of 8 n or 7 n; tables of positions
# have their own size, and the middle of them another.
ANY, EVEN, OF_BLOCKS, OF_TABLES = (193, 161), (192, 160), (256, 512), (128, 256)
TIMM_ATTENTION = {
    **dict.fromkeys(("ecaresnet26t", "ecaresnet269d", "ecaresnetlight"), ANY),
    **dict.fromkeys(("seresnextaa101d_32x8d", "seresnextaa201d_32x8d"), EVEN),
    **dict.fromkeys(("seresnext26d_32x4d", "seresnext26t_32x4d", "seresnext101_32x8d"), ANY),
    **dict.fromkeys(("seresnext101_64x4d", "seresnext101d_32x8d"), ANY),
    **dict.fromkeys((f"resnetrs{x}" for x in (50, 101, 152, 200, 270, 350, 420)), ANY),
    **dict.fromkeys((f"resnest{x}" for x in ("14d", "26d", "50d", "101e", "200e", "269e")), ANY),
    **dict.fromkeys(("resnest50d_1s4x24d", "resnest50d_4s2x40d"), ANY),
    **dict.fromkeys(("resnext26ts", "seresnext26ts", "gcresnext26ts", "eca_resnext26ts"), ANY),
    **dict.fromkeys(("gcresnext50ts", "resnet32ts", "resnet33ts", "seresnet33ts"), ANY),
    **dict.fromkeys(("gcresnet33ts", "eca_resnet33ts", "skresnet18", "skresnet34"), ANY),
    **dict.fromkeys(("lambda_resnet26t", "lambda_resnet50ts"), EVEN),
    **dict.fromkeys(("halonet26t", "sehalonet33ts", "halonet50ts", "eca_halonext26ts"), OF_BLOCKS),
    "bat_resnext26ts": OF_BLOCKS,
    "haloregnetz_b": (224, 448),  # blocks of 7 x 7, on a map of a 32nd, too
    **dict.fromkeys(("botnet26t_256", "sebotnet33ts_256", "eca_botnext26ts_256"), OF_TABLES),
    **dict.fromkeys(("lambda_resnet26rpt_256", "lamhalobotnet50ts_256"), OF_TABLES),
    "halo2botnet50ts_256": OF_TABLES,
    **dict.fromkeys(("ese_vovnet19b_dw", "ese_vovnet39b", "ese_vovnet57b"), ANY),
}
SMALL_SIZES = {
    **dict.fromkeys(("seresnextaa101d_32x8d", "lambda_resnet26t"), ((64, 64), (96, 64))),
    **dict.fromkeys(("resnest50d_4s2x40d", "resnest50d_1s4x24d"), SIZES["_small"]),
    **dict.fromkeys(("seresnet33ts", "skresnet18", "resnetrs50"), SIZES["_small"]),
    **dict.fromkeys(("eca_halonext26ts", "bat_resnext26ts"), ((256, 256), (256, 512))),
    "haloregnetz_b": ((224, 224), (448, 224)),
    **dict.fromkeys(("eca_botnext26ts_256", "lambda_resnet26rpt_256"), ((256, 256), (128, 64))),
}

sys.path.insert(0, str(Path(__file__).parent.parent))  # for `helpers`
random_state = importlib.import_module("helpers.oracles.random_state")


def save(name, shapes, logits, source):
    FOLDER.mkdir(exist_ok=True)
    arrays = {f"logits:{h}x{w}": each for (h, w), each in logits.items()}
    names = np.array(list(shapes))
    flat = np.array([" ".join(map(str, shape)) for shape in shapes.values()])
    np.savez_compressed(FOLDER / f"{name}.npz", names=names, shapes=flat, source=source, **arrays)
    print(f"{name}: {len(shapes)} tensors, {[float(np.abs(a).max()) for a in logits.values()]}")


def run_torch(name, module, source, sizes, before=lambda module, size: None):
    import torch

    state = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    weights = random_state.random_state(state)
    module.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    module.eval()
    logits = {}
    for size in sizes:
        before(module, size)
        image = torch.from_numpy(random_state.random_image(*size).transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            logits[size] = module(image).numpy()
    save(name, state, logits, f"{source}, torch {torch.__version__}")


def cut(stages):
    """The stages with fewer blocks."""
    import torch

    pairs = zip(stages, SMALL, strict=True)
    return [torch.nn.Sequential(*list(stage)[:blocks]) for stage, blocks in pairs]


def make_timm(wanted):
    from make_timm import import_timm

    timm = import_timm()
    names = (
        *("legacy_seresnet18", "legacy_seresnet50", "legacy_seresnext50_32x4d", "legacy_senet154"),
        *("seresnet50", "seresnext50_32x4d", "senet154", "seresnet152d"),
        *("ecaresnet50t", "ecaresnet50d", "gcresnet50t", "skresnext50_32x4d", "ecaresnet101d"),
    )
    for name in names:
        for kind, sizes in SIZES.items():
            if not wanted(f"{name}{kind}"):
                continue
            module = timm.create_model(name, num_classes=CLASSES)
            if kind and hasattr(module, "stages"):
                module.stages = type(module.stages)(*cut(module.stages))
            elif kind:
                for i, stage in enumerate(cut([getattr(module, f"layer{i}") for i in range(1, 5)])):
                    setattr(module, f"layer{i + 1}", stage)
            run_torch(f"{name}{kind}", module, f"timm {timm.__version__}", sizes)


def make_timm_attention(wanted):
    """The networks of `TimmResNet` and `VoVNet`, at their own size and at another."""
    import torch
    from make_timm import import_timm

    timm = import_timm()
    for name, other in TIMM_ATTENTION.items():
        size = timm.get_pretrained_cfg(name).input_size[1:]
        for kind, sizes in {"": (size, other), "_small": SMALL_SIZES.get(name, ())}.items():
            if not sizes or not wanted(f"{name}{kind}"):
                continue
            state, logits = {}, {}
            for each in sizes:
                fixed = {"img_size": each} if timm.get_pretrained_cfg(name).fixed_input_size else {}
                module = timm.create_model(name, num_classes=CLASSES, **fixed)
                if kind and hasattr(module, "stages"):
                    module.stages = type(module.stages)(*cut(module.stages))
                elif kind:
                    stages = cut([getattr(module, f"layer{i}") for i in range(1, 5)])
                    for i, stage in enumerate(stages, start=1):
                        setattr(module, f"layer{i}", stage)
                own = {key: tuple(value.shape) for key, value in module.state_dict().items()}
                state = state or own  # with the tables of the network's own size
                weights = random_state.random_state(state)
                weights = {key: middle(value, own[key]) for key, value in weights.items()}
                module.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
                image = random_state.random_image(*each).transpose(0, 3, 1, 2).copy()
                with torch.no_grad():
                    logits[each] = module.eval()(torch.from_numpy(image)).numpy()
            save(
                f"{name}{kind}",
                state,
                logits,
                f"timm {timm.__version__}, torch {torch.__version__}",
            )


def middle(table, shape):
    """The offsets of a smaller map, in the middle of a table of positions."""
    starts = [(have - want) // 2 for have, want in zip(table.shape, shape, strict=True)]
    parts = tuple(slice(at, at + want) for at, want in zip(starts, shape, strict=True))
    return np.ascontiguousarray(table[parts])


def make_pytorchcv(wanted):
    import torch

    version = importlib.import_module("importlib.metadata").version("pytorchcv")
    resattnet = importlib.import_module("pytorchcv.models.resattnet")
    module = resattnet.resattnet56(num_classes=CLASSES)

    def before(module, size):
        if size != (224, 224):  # its pool has a window of 7x7, right for 224 only
            module.features.final_pool = torch.nn.AdaptiveAvgPool2d(1)

    if wanted("attention_block"):  # one of stage 2, with few channels
        block = resattnet.AttBlock(16, 16, hourglass_depth=2, att_scales=[1, 2, 1])
        names = {key: f"features.stage2.unit2.{key}" for key in block.state_dict()}
        shapes = {names[key]: tuple(value.shape) for key, value in block.state_dict().items()}
        state = random_state.random_state(shapes)
        block.load_state_dict({key: torch.from_numpy(state[names[key]]) for key in names})
        logits = {}
        for size in ((16, 16), (12, 20)):
            x = random_state.uniform("map", (1, *size, 16)).transpose(0, 3, 1, 2)
            with torch.no_grad():
                y = block.eval()(torch.from_numpy(x.copy()))
            logits[size] = y.numpy().transpose(0, 2, 3, 1)
        save("attention_block", shapes, logits, f"pytorchcv {version}, torch {torch.__version__}")
    if wanted("resattnet56"):
        run_torch("resattnet56", module, f"pytorchcv {version}", SQUARE[""], before)


def make_attention_module(wanted, folder):
    import torch

    sys.path.insert(0, str(folder))
    warnings.simplefilter("ignore")  # the code is older than this torch
    importlib.import_module("MODELS.bam").gate_activation = None  # its file doesn't define it
    resnet = importlib.import_module("MODELS.model_resnet")

    def before(module, size):
        if size != (224, 224):
            module.avgpool = torch.nn.AdaptiveAvgPool2d(1)

    for attention in ("CBAM", "BAM"):
        for kind, sizes in SQUARE.items():
            if wanted(f"{attention.lower()}_resnet50{kind}"):
                module = resnet.ResidualNet("ImageNet", 50, CLASSES, attention)
                if kind:
                    stages = [getattr(module, f"layer{i}") for i in range(1, 5)]
                    for i, stage in enumerate(cut(stages)):
                        setattr(module, f"layer{i + 1}", stage)
                name = f"{attention.lower()}_resnet50{kind}"
                wrapped = torch.nn.DataParallel(module)  # as in the checkpoints: module.*
                wrapped.eval()

                def before_wrapped(wrapped, size):
                    before(wrapped.module, size)

                run_torch(name, wrapped, "Jongchan/attention-module", sizes, before_wrapped)


def make_image_classifiers(wanted):
    import tensorflow as tf

    if wanted("keras2_file"):  # as Keras 2 writes one, whose layers' names go on from others'
        conv, norm = tf.keras.layers.Conv2D, tf.keras.layers.BatchNormalization
        for _ in range(2):
            layers = [conv(2, 3), norm(), conv(4, 1), tf.keras.layers.Dense(2)]
            model = tf.keras.Sequential([tf.keras.Input((8, 8, 3)), *layers])
        names = [weight.name.split(":")[0] for weight in model.weights]
        shapes = {name: tuple(w.shape) for name, w in zip(names, model.weights)}  # noqa: B905
        state = random_state.random_state(shapes)
        model.set_weights([state[name] for name in names])
        model.save_weights(FOLDER / "keras2_file.h5")
        save("keras2_file", shapes, {}, f"tensorflow {tf.__version__}")
    senet = importlib.import_module("classification_models.models.senet")
    kwargs = {"backend": tf.keras.backend, "layers": tf.keras.layers}
    kwargs |= {"models": tf.keras.models, "utils": tf.keras.utils}
    for name in ("seresnet50", "seresnext50", "senet154"):
        for kind, sizes in SIZES.items():
            if not wanted(f"classifiers_{name}{kind}"):
                continue
            parameters = senet.MODELS_PARAMS[name]
            if kind:
                parameters = parameters._replace(repetitions=SMALL)
            model = senet.SENet(
                parameters, input_shape=(None, None, 3), classes=CLASSES, weights=None, **kwargs
            )
            shapes = {}
            for weight in model.weights:
                layer, kind_of = weight.name.split(":")[0].rsplit("/", 1)
                shapes[f"{layer}/{kind_of}"] = tuple(weight.shape)
            state = random_state.random_state(shapes)
            model.set_weights([state[key] for key in shapes])
            before_softmax = tf.keras.Model(model.inputs, model.layers[-2].output)
            logits = {size: before_softmax(random_state.random_image(*size)) for size in sizes}
            logits = {size: each.numpy() for size, each in logits.items()}
            version = importlib.import_module("importlib.metadata").version("image-classifiers")
            source = f"image-classifiers {version}, tensorflow {tf.__version__}"
            save(f"classifiers_{name}{kind}", shapes, logits, source)


if __name__ == "__main__":
    source, *arguments = sys.argv[1:]
    folder = [Path(arguments.pop(0))] if source == "attention-module" else []
    globals()[f"make_{source.replace('-', '_')}"](
        lambda name: not arguments or any(each in name for each in arguments), *folder
    )
