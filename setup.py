"""Packaging of tfmeta.

Horovod is not among the dependencies: it has to be compiled against the TensorFlow that is
installed, so it comes afterwards, with `tfmeta-build-horovod` (see BUILD.md).
"""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
README = ROOT / "README.md"

setup(
    name="tfmeta",
    version=runpy.run_path(str(ROOT / "tfmeta" / "version.py"))["VERSION"],
    description="Meta-learning on Keras models, its tasks split over Horovod ranks.",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    python_requires=">=3.11,<3.14",
    # tfmeta/tools and tfmeta/flags are links to the folders of those names beside tfmeta/.
    packages=find_packages(include=["tfmeta", "tfmeta.*"]),
    package_data={
        "tfmeta": ["py.typed"],
        "tfmeta.flags": ["*.flags"],
        "tfmeta.keras_optimizer": ["trained/*.npz"],
    },
    install_requires=[
        "tensorflow>=2.21,<3",
        "keras>=3.15",
        "tensorflow-datasets>=4.9.10",
        "numpy",
        "absl-py",
        # TensorFlow Datasets 4.9.10 imports it without asking for it.
        "importlib_resources",
        "matplotlib",
        "pillow",
        "scikit-learn",
        # For Keras's callback of that name, which TensorFlow 2.21 no longer brings along.
        "tensorboard",
        "threadpoolctl",
        "tqdm",
    ],
    extras_require={
        "dev": [
            "import-linter",
            "mypy",
            "onnxruntime",
            "pytest",
            "pytest-xdist",
            "ruff",
            "tf2onnx",
        ],
        # For `export(format="onnx")` of Keras models.
        "onnx": ["tf2onnx>=1.17"],
    },
    entry_points={
        "console_scripts": [
            "tfmeta-train=tfmeta.tools.train:run",
            "tfmeta-evaluate=tfmeta.tools.evaluate:run",
            "tfmeta-train-optimizer=tfmeta.tools.train_optimizer:run",
            "tfmeta-evaluate-optimizer=tfmeta.tools.evaluate_optimizer:run",
            "tfmeta-compare-on-keras=tfmeta.tools.compare_on_keras:run",
            "tfmeta-benchmark=tfmeta.tools.benchmark:run",
            "tfmeta-benchmark-clusters=tfmeta.tools.benchmark_clusters:run",
            "tfmeta-build-horovod=tfmeta.tools.build_horovod:run",
        ]
    },
)
