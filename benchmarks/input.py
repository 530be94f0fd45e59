"""Images a second of the input alone, against what Keras's examples and torchvision's users write.

    python benchmarks/input.py [--images 400] [--cores 1 2] [--rounds 5] [--torch PYTHON]
    python benchmarks/input.py --start 300000

Made-up photographs, JPEG files of 500 x 375, to 224 x 224, from a folder and from a file of
TFRecord as tensorflow-datasets writes it: trained on ("random_resized_crop" and "flip") and
evaluated (0.875). Beside ours are a tf.data pipeline as Keras's ImageNet examples have it, without
antialiasing and with it, which is the same work, and `DataLoader` with torchvision's transforms, a
worker for each core, which --torch runs in an environment that has them. Numbers of 32 bits are
made of the pixels in all of them, but in "bytes": so `train` gives them to the device.
libjpeg-turbo alone, which decodes whole files, is the limit. All of a number of cores are timed by
turns; medians are quoted.

With --start, the first and the second start of a folder of so many files, hard links to three: the
seconds until it is read and until its fingerprint is there, and the peak of memory, which has the
library and its backend in it.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measuring import save, seconds_by_turns

BATCH = 50
SIZE = (224, 224)
TORCH = """
import sys, torch
from torchvision import datasets, transforms
folder, cores, training = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "train"
torch.set_num_threads(1)
mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
first = ([transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()] if training
         else [transforms.Resize(256), transforms.CenterCrop(224)])
chain = transforms.Compose([*first, transforms.ToTensor(), transforms.Normalize(mean, std)])
data = datasets.ImageFolder(folder, chain)
loader = torch.utils.data.DataLoader(
    data, int(sys.argv[4]), shuffle=training, num_workers=cores, persistent_workers=True)
for line in sys.stdin:
    for images, labels in loader:
        pass
    print("done", flush=True)
"""
START = """
import resource, sys, time
from keras_attn.data import load_dataset
def mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before, start, own = mib(), time.perf_counter(), time.process_time()
data = load_dataset(sys.argv[1], image_size=224)
read = time.perf_counter()
data.fingerprint()
print(f"read after {read - start:.1f} s, fingerprint after {time.perf_counter() - start:.1f} s, "
      f"{time.process_time() - own:.1f} s of this process's own, "
      f"{mib()} MiB at most, {before} of them before")
"""


def write_photographs(folder: Path, count: int) -> None:
    """JPEG files in ten classes: shapes on a smooth ground, with grain."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(count):
        ground = Image.fromarray(rng.integers(0, 256, (12, 16, 3), "uint8"))
        pixels = np.asarray(ground.resize((500, 375), Image.Resampling.BICUBIC), "float32").copy()
        for _ in range(12):
            top, left, side = rng.integers(0, 375), rng.integers(0, 500), rng.integers(15, 150)
            pixels[top : top + side, left : left + side] += rng.integers(-90, 90, 3)
        grain = Image.fromarray(rng.integers(0, 256, (187, 250), "uint8"))
        grain = np.asarray(grain.resize((500, 375)), "float32")[..., None]
        pixels = np.clip(pixels + 0.35 * (grain - 128), 0, 255).astype("uint8")
        path = folder / f"class{i % 10}" / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=92)


def records_of(data: Any, folder: Path) -> Any:
    """The same images as a file of records."""
    import tensorflow as tf

    from keras_attn.data.readers.records import RecordSplit, tfrecord_places

    split, file = data.train, str(folder / "photographs.tfrecord")
    with tf.io.TFRecordWriter(file) as writer:
        for row, label in enumerate(split.labels):
            image = tf.train.BytesList(value=[split.source(row).load()[0]])
            features = {
                "image": tf.train.Feature(bytes_list=image),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    records = RecordSplit(
        preprocessing=split.preprocessing, is_varied=True, files=(file,),
        places=tfrecord_places([file]), keys=("image", "label"), identity=file, num_classes=10,
    )  # fmt: skip
    return dataclasses.replace(data, train=records, test=records, options={})


def as_keras_examples(split: Any, *, training: bool, antialias: bool) -> Any:
    """The pipeline of Keras's ImageNet examples: the part alone is decoded, then resized."""
    import tensorflow as tf

    paths = [str(split.root / path) for path in split.paths]
    files = tf.data.Dataset.from_tensor_slices((paths, split.labels))

    def train(path: tf.Tensor, label: tf.Tensor) -> Any:
        encoded = tf.io.read_file(path)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.image.extract_jpeg_shape(encoded), tf.zeros((1, 0, 4)), min_object_covered=0.0,
            aspect_ratio_range=(3 / 4, 4 / 3), area_range=(0.08, 1.0), max_attempts=10,
            use_image_if_no_bounding_boxes=True,
        )  # fmt: skip
        image = tf.image.decode_and_crop_jpeg(encoded, tf.concat([begin[:2], size[:2]], 0), 3)
        image = tf.image.resize(image, SIZE, antialias=antialias)
        return tf.image.random_flip_left_right(image), tf.one_hot(label, 10)

    def evaluate(path: tf.Tensor, label: tf.Tensor) -> Any:
        encoded = tf.io.read_file(path)
        height, width = tf.unstack(tf.image.extract_jpeg_shape(encoded)[:2])
        side = tf.cast(0.875 * tf.cast(tf.minimum(height, width), tf.float32), tf.int32)
        window = tf.stack([(height - side) // 2, (width - side) // 2, side, side])
        image = tf.image.decode_and_crop_jpeg(encoded, window, 3)
        return tf.image.resize(image, SIZE, antialias=antialias), tf.one_hot(label, 10)

    if training:
        files = files.shuffle(len(paths))
    images = files.map(train if training else evaluate, num_parallel_calls=tf.data.AUTOTUNE)
    return images.batch(BATCH, drop_remainder=training).prefetch(tf.data.AUTOTUNE)


def measure(folder: Path, cores: int, rounds: int, torch: str | None) -> list[dict[str, Any]]:
    """Times all sides on so many cores, in a process that has no others."""
    os.sched_setaffinity(0, set(list(os.sched_getaffinity(0))[:cores]))
    import tensorflow as tf

    from keras_attn.data import splits
    from keras_attn.data.by_name import load_dataset

    splits.CACHE_BYTES = 0  # as of a folder that is too large for memory
    data = load_dataset(folder, image_size=SIZE, test_share=0.5)
    paths = tuple(sorted((*data.train.paths, *data.test.paths)))
    labels = np.array([int(path[5]) for path in paths])
    whole = dataclasses.replace(data.train, paths=paths, labels=labels)
    data = dataclasses.replace(data, train=whole, test=whole, options={})
    records = records_of(data, folder.parent)
    count = len(paths) // BATCH * BATCH
    rows = []
    for training in (True, False):
        sides: dict[str, Callable[[], Any]] = {}
        for name, of in {"ours, folder": data, "ours, TFRecord": records}.items():
            sides[name] = _ours(of, training=training, count=count)
        if training:
            sides["ours, folder, bytes"] = _ours(data, training=True, count=count, for_device=True)
        for antialias in (False, True):
            pipeline = as_keras_examples(whole, training=training, antialias=antialias)
            sides["Keras's examples" + ", antialiased" * antialias] = _puller(pipeline)
        files = tf.data.Dataset.from_tensor_slices([str(folder / path) for path in paths])
        decoded = files.map(
            lambda path: tf.io.decode_jpeg(tf.io.read_file(path), 3),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        sides["libjpeg-turbo alone"] = _puller(decoded)
        with contextlib.ExitStack() as stack:
            if torch:
                loader = stack.enter_context(_loader(torch, folder, cores, training=training))
                sides["PyTorch's DataLoader, torchvision"] = loader
            seconds = seconds_by_turns(sides, rounds)
        speeds = {name: count / statistics.median(times) for name, times in seconds.items()}
        best = max(
            speed for name, speed in speeds.items() if "ours" not in name and "alone" not in name
        )
        same_work = speeds["Keras's examples, antialiased"]
        for name, speed in speeds.items():
            rows.append(
                {
                    "what": "training" if training else "evaluation",
                    "cores": cores,
                    "side": name,
                    "images_s": round(speed, 1),
                    "of_the_best_other": round(speed / best, 3),
                    "of_the_same_work": round(speed / same_work, 3),
                }
            )
            print(rows[-1], flush=True)
    return rows


def _ours(data: Any, *, training: bool, count: int, for_device: bool = False) -> Callable[[], None]:
    """One pass. Of endless batches, what is prepared beyond it is lost, and counts against us.

    An iterator that stays would prepare its batches in the turns of the others.
    """
    from keras_attn.data.batches.tensorflow_pipeline import evaluation_batches, training_batches

    if not training:
        return _puller(evaluation_batches(data, BATCH))
    augment = ("random_resized_crop", "flip")
    batches = training_batches(data, BATCH, augment=augment, for_device=for_device)
    return _puller(batches.take(count // BATCH))


def _puller(batches: Iterable[Any]) -> Callable[[], None]:
    def pull() -> None:
        for _ in batches:
            pass

    return pull


@contextlib.contextmanager
def _loader(python: str, folder: Path, cores: int, *, training: bool) -> Iterator[Callable]:
    """A process with PyTorch's loader, and what has it go over all files once."""
    arguments = [str(folder), str(cores), "train" if training else "evaluate", str(BATCH)]
    process: Any = subprocess.Popen(
        [python, "-c", TORCH, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def pull() -> None:
        process.stdin.write("go\n")
        process.stdin.flush()
        if "done" not in process.stdout.readline():
            raise RuntimeError("the loader has ended")

    yield pull
    process.stdin.close()
    process.wait()


def start(count: int) -> None:
    """The first and the second start of a folder of many files, in processes of their own."""
    with tempfile.TemporaryDirectory() as place:
        photographs, folder = Path(place, "photographs"), Path(place, "many")
        write_photographs(photographs, 3)
        files = [path.read_bytes() for path in sorted(photographs.rglob("*.jpg"))]
        for number in range(count):
            path = folder / f"class{number % 1000:03}" / f"{number:07}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            few = Path(place, f"{number % 3}-{number // 90_000}.jpg")  # of links to one file
            if not few.exists():
                few.write_bytes(files[number % 3])
            os.link(few, path)
        environment = {**os.environ, "KERAS_ATTN_CACHE": str(Path(place, "cache"))}
        for which in ("first", "second"):
            print(f"{which} start of {count:,} files:", end=" ", flush=True)
            subprocess.run([sys.executable, "-c", START, str(folder)], env=environment, check=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch", help="Python of an environment with torch and torchvision")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--command", help=argparse.SUPPRESS)  # which the rows quote
    parser.add_argument(
        "--out", type=Path, default="benchmarks/results/input.csv", help="default: %(default)s"
    )
    parser.add_argument("--start", type=int, metavar="FILES", help="time the start of a folder")
    arguments = parser.parse_args()
    if arguments.start is not None:
        start(arguments.start)
        return
    if arguments.folder is not None:
        [cores] = arguments.cores
        rows = measure(arguments.folder, cores, arguments.rounds, arguments.torch)
        sys.argv = shlex.split(arguments.command)
        save(arguments.out, rows, "keras", "tensorflow", "pillow", append=True)
        return
    arguments.out.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "photographs")
        write_photographs(folder, arguments.images)
        for cores in arguments.cores:  # which TensorFlow counts when it starts
            options = ["--folder", str(folder), "--cores", str(cores), "--out", str(arguments.out)]
            options += ["--rounds", str(arguments.rounds), "--command", shlex.join(sys.argv)]
            options += ["--torch", arguments.torch] if arguments.torch else []
            subprocess.run([sys.executable, sys.argv[0], *options], check=True)


if __name__ == "__main__":
    main()
