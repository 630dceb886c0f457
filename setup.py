"""The distribution `restem`: the library, the pipeline and the command line."""

from pathlib import Path

from setuptools import find_packages, setup

FOLDERS = {"restem": "components", "restem.pipeline": "pipeline", "restem.schemas": "schemas"}
REQUIRES = [
    "tfx>=1.21,<1.22",
    "tensorflow>=2.21,<2.22",
    "apache-beam>=2.77,<2.78",
    "tensorflow-transform>=1.21,<1.22",
    "tensorflow-model-analysis>=0.52,<0.53",
    "keras>=3.15,<3.16",
    "click>=8.1,<9",
    "google-crc32c>=1.5,<2",
    # The compressions inside TIFF files that tifffile itself does not know: LZW, JPEG and others.
    "imagecodecs>=2025.3",
    "jinja2>=3.1,<4",
    "matplotlib>=3.9,<4",
    "numpy>=1.26,<3",
    "pillow>=11,<13",
    "protobuf>=5,<7",
    "pyarrow>=14,<24",
    "pydantic>=2.10,<3",
    "pyyaml>=6,<7",
    "requests>=2.32,<3",
    "rich>=13,<16",
    "safetensors>=0.5,<1",
    "scikit-learn>=1.5,<2",
    "scipy>=1.11,<2",
    "tensorboard>=2.20,<2.22",
    "tifffile>=2025.3",
    "urllib3>=2.2,<3",
]
EXTRAS = {
    # What `restem compile` and `restem kubeflow` need beside the pipeline itself.
    "kubeflow": ["cronsim>=2.7,<3", "kfp>=2.14,<3", "kfp-kubernetes>=2.14,<3", "kfp-server-api>=2.16,<3"],
    # What the configuration's section `tune` needs.
    "tune": ["keras-tuner>=1.4.8,<1.5"],
    # DICOM. imagecodecs decodes its JPEG, JPEG-LS and JPEG 2000 (see components/images/formats/dicom_codecs.py), so
    # that none of pydicom's plug-ins is needed, of which pylibjpeg-libjpeg is under the GPL.
    "dicom": ["pydicom>=3.0,<4"],
    # HEIC. pi-heif is pillow-heif without its encoders, which are under the GPL in the binary packages.
    "heif": ["pi-heif>=1,<2"],
    # What `restem export --to onnx` needs.
    "export": ["onnx>=1.17,<2", "onnxruntime>=1.20,<2", "tf2onnx>=1.17,<2"],
    # What `push.sign` and `push.verify_key` need. model-signing imports pyOpenSSL without naming it.
    "sign": ["model-signing>=1.1,<2", "pyopenssl>=24"],
    # What the configuration's section `track` needs: MLflow's client.
    "track": ["mlflow-skinny>=3.1,<4"],
    # What `make test`, `make lint` and `make setup` need.
    "dev": [
        # The report in a real browser (Chromium, which `make browser` installs).
        "axe-playwright-python>=0.1.4,<0.2",
        "build>=1.2,<2",
        "hypothesis>=6.100,<7",
        # The stem library runs on any Keras backend; its tests run on this one too.
        "jax[cpu]>=0.5,<0.12",
        "jsonschema>=4.20,<5",
        # MLflow's server; the extra `track` brings only its client.
        "mlflow>=3.1,<4",
        "mypy>=1.18,<3",
        "pip>=23",
        "playwright>=1.50,<2",
        "pytest>=8.3,<10",
        "pytest-timeout>=2.3,<3",
        "pytest-xdist>=3.7,<4",
        "ruff>=0.14,<1",
        "setuptools>=70,<82",
    ],
}

setup(
    name="restem",
    version="0.1.0",
    description="Put a new stem on a pretrained ResNet, and take it to production.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.11,<3.14",
    # The folders keep their names in the repository; what is installed is the package `restem` alone.
    package_dir=FOLDERS,
    packages=[*FOLDERS, *(f"{top}.{name}" for top, folder in FOLDERS.items() for name in find_packages(folder))],
    package_data={
        "restem": ["py.typed", "**/*.html", "**/*.css", "**/*.jinja"],
        "restem.pipeline": ["configs/*.yaml", "environment/*.sh"],
        "restem.schemas": ["*.pbtxt", "*.json"],
    },
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["restem=restem.pipeline.cli:main"]},
)
