"""Builds the functions' zips reproducibly: the same inputs give the same bytes, so Terraform sees only real changes.

For AWS, a zip holds a function's code, and layers hold third-party packages. The local emulator doesn't unpack layers
for a custom runtime, so its zips hold everything, including AWS's runtime client.

Zips contain bytecode, since Lambda can't keep what it compiles and compiling is the slowest part of a cold start.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pipeline import ROOT
from pipeline.console import files
from pipeline.deploy import botocore_data
from pipeline.deploy.locks import one_at_a_time
from pipeline.errors import CliError, UsageError

LAYERS = ("aws", "json", "schema", "sql")
FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "starter": ("aws", "json"),
    "validate": ("aws", "json", "schema", "sql"),
    "transform": ("aws", "sql"),
    "write": ("aws", "json", "sql"),
    "record_failure": ("aws", "json"),
    "record_run": ("aws", "json"),
    "reconciler": ("aws", "json"),
}
"""The layers of each function. A test compares them with infra/functions.tf."""

CONTRACTS = ROOT / "contracts"
"""The project's own contracts, which are deployed unless the Terraform variable contracts_dir is set."""

EXAMPLES = ROOT / "examples" / "contracts"
"""Contracts to start from. Commands that try a file on this machine find a dataset here, too."""

AWS_PYTHON = "3.13"
ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}
_AWS_PLATFORM = "{machine}-manylinux_2_28"  # Amazon Linux 2023 has glibc 2.34
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_CACHE = "__pycache__"
_NOT_PACKED = (
    *("bin", "_duckdb-stubs", ".lock"),
    *("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"),
)


@dataclass(frozen=True)
class Runtime:
    """The environment that the zips run in."""

    name: str
    python: str
    architecture: str
    embedded: bool
    contracts: Path = field(default=CONTRACTS, repr=False)
    """The folder of the contracts that the zips contain. The cache of packages doesn't depend on it."""

    @property
    def folder(self) -> Path:
        """The folder of the zips: build/aws or build/local, with a suffix for contracts in another folder."""
        if self.contracts == CONTRACTS:
            return ROOT / "build" / self.name
        return ROOT / "build" / f"{self.name}-{hashlib.sha256(str(self.contracts).encode()).hexdigest()[:8]}"


def aws_runtime(architecture: str = "arm64", contracts: Path = CONTRACTS) -> Runtime:
    return Runtime("aws", AWS_PYTHON, architecture, embedded=False, contracts=contracts)


def local_runtime(contracts: Path = CONTRACTS) -> Runtime:
    """Return the runtime of the local emulator: this command's version of Python on this machine."""
    machine = platform.machine().lower()
    architecture = "arm64" if machine in ("arm64", "aarch64") else "x86_64"
    return Runtime("local", f"{sys.version_info.major}.{sys.version_info.minor}", architecture, True, contracts)


def datasets_in(contracts: Path) -> list[str]:
    """Return the datasets that have a contract in a folder. Raises UsageError if there are none."""
    found = sorted(path.parent.name for path in contracts.glob("*/contract.json"))
    if not found:
        raise UsageError(
            f"There is no contract in {contracts}{'' if contracts.is_dir() else ', which is not a folder'}.",
            "Set contracts_dir to a folder with one subfolder per dataset, each with a contract.json, like contracts/. "
            "Set it in infra/terraform.tfvars or TF_VAR_contracts_dir, as an absolute path or relative to infra/.",
        )
    return found


def build(runtime: Runtime) -> list[Path]:
    """Build every outdated zip, and return the paths of all zips.

    Raises CliError if packages can't be fetched, or UsageError if contracts are missing.
    """
    with one_at_a_time(ROOT / "build" / "lock"):
        return _build(runtime)


def _build(runtime: Runtime) -> list[Path]:
    zips = []
    datasets = datasets_in(runtime.contracts)
    if _interpreter(runtime) is None:
        print(
            f"· without bytecode, since python{runtime.python} is not installed: cold starts take longer",
            file=sys.stderr,
        )
    if not runtime.embedded:
        for layer in LAYERS:
            tree = {f"python/{name}": path for name, path in _packages(f"layer-{layer}", runtime).items()}
            zips.append(_write_zip(runtime.folder / f"layer-{layer}.zip", tree))
    code = _compiled_code(runtime)
    for function, layers in FUNCTIONS.items():
        tree = dict(_code(function, code)) | dict(_contracts(runtime.contracts, datasets))
        if runtime.embedded:
            for group in (*(f"layer-{layer}" for layer in layers), "local-runtime"):
                tree |= _packages(group, runtime)
            tree["bootstrap"] = _bootstrap(runtime)
        zips.append(_write_zip(runtime.folder / f"{function}.zip", tree))
    return zips


def _compiled_code(runtime: Runtime) -> Path:
    """Return a folder with a copy of `functions/` and its bytecode."""
    sources = _files(ROOT / "functions", bytecode=False)
    content = b"".join(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() for path in sources)

    def copy(folder: Path) -> None:
        shutil.copytree(ROOT / "functions", folder / "functions", ignore=shutil.ignore_patterns(_CACHE))

    return _cached("code", runtime, content, copy)


def _cached(name: str, runtime: Runtime, content: bytes, fill: Callable[[Path], None]) -> Path:
    """Return a folder that `fill` has filled and that was compiled once for each content and runtime."""
    key = hashlib.sha256(content + repr((runtime, _interpreter(runtime))).encode()).hexdigest()[:16]
    folder = ROOT / "build" / "packages" / f"{name}-{runtime.name}-{key}"
    if not folder.is_dir():
        unfinished = folder.with_suffix(f".{os.getpid()}")
        fill(unfinished)
        _compile(unfinished, runtime)
        unfinished.replace(folder)
    return folder


def _code(function: str, compiled: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a function's own package and of the common package, with their names in the zip."""
    package = compiled / "functions"
    own = [package / "__init__.py", *package.glob(f"{_CACHE}/__init__.*")]
    for path in [*own, *_files(package / "common"), *_files(package / function)]:
        yield str(path.relative_to(compiled)), path


def _contracts(contracts: Path, datasets: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield the files of all contracts that functions read, without saved queries and the notes of a draft."""
    for dataset in datasets:
        for path in _files(contracts / dataset):
            if path.parent.name != "queries" and path.name != "DRAFT.md":
                yield f"contracts/{path.relative_to(contracts)}", path


def _packages(group: str, runtime: Runtime) -> dict[str, Path]:
    """Return the files of the packages in a requirements group, by their path in the package folder."""
    requirements = ROOT / "requirements" / f"{group}.txt"
    pruning = Path(botocore_data.__file__).read_bytes()

    def install(folder: Path) -> None:
        _install(requirements, folder, runtime)
        if group == "layer-aws":
            botocore_data.prune(folder / "botocore" / "data")

    folder = _cached(group, runtime, requirements.read_bytes() + pruning, install)
    return {str(path.relative_to(folder)): path for path in _files(folder)}


def _install(requirements: Path, folder: Path, runtime: Runtime) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(folder), "--require-hashes"]
    if runtime.embedded:
        command += ["--python", sys.executable]
    else:
        machine = ARCHITECTURES[runtime.architecture]
        command += ["--python-version", runtime.python, "--python-platform", _AWS_PLATFORM.format(machine=machine)]
        command += ["--only-binary", ":all:"]
    done = subprocess.run([*command, "-r", str(requirements)], capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise CliError(
            f"The packages of {requirements.relative_to(ROOT)} could not be installed:\n{done.stderr.strip()}",
            "Check that the package index can be reached, then run the command again.",
        )


def _compile(folder: Path, runtime: Runtime) -> None:
    """Compile each module for the runtime's version of Python, if this machine has it.

    Python doesn't compare the bytecode with the source (PEP 552, unchecked), since a zip has no timestamps. Modules
    that don't compile, such as modules for other versions of Python, have no bytecode.
    """
    if interpreter := _interpreter(runtime):
        options = ["-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(folder)]
        subprocess.run([interpreter, "-m", "compileall", *options, str(folder)], capture_output=True, check=False)


@cache
def _interpreter(runtime: Runtime) -> Path | None:
    """Return a Python of the runtime's version, or None. The emulator uses the base of this virtual environment."""
    if runtime.embedded:
        return Path(sys.base_prefix) / "bin" / f"python{runtime.python}"
    command = [sys.executable, "-m", "uv", "python", "find", "--no-python-downloads", "--no-project", runtime.python]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


def _bootstrap(runtime: Runtime) -> Path:
    """Write the entry point of the custom runtime: AWS's runtime client, which sees only the packages in the zip."""
    path = runtime.folder / "bootstrap"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "#!/bin/sh\n"
        'export PYTHONPATH="$LAMBDA_TASK_ROOT" PYTHONDONTWRITEBYTECODE=1\n'
        f'exec "{_interpreter(runtime)}" -S -m awslambdaric "$_HANDLER"\n'
    )
    return path


def _files(folder: Path, *, bytecode: bool = True) -> list[Path]:
    """Return the files under `folder` that belong in a zip, in a fixed order."""
    left_out = {*_NOT_PACKED, *([] if bytecode else [_CACHE])}
    return sorted(
        path for path in folder.rglob("*") if path.is_file() and not set(path.relative_to(folder).parts) & left_out
    )


def _write_zip(path: Path, tree: Mapping[str, Path]) -> Path:
    """Write the files in `tree`, by their name in the zip, to the zip `path`, unless its content is the same."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name in sorted(tree):
        digest.update(name.encode() + b"\0" + hashlib.sha256(tree[name].read_bytes()).digest())
    stamp = path.with_suffix(".inputs")
    if path.is_file() and stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        files.replacing(path) as unfinished,
        zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        for name in sorted(tree):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, so that the permissions apply
            entry.external_attr = (0o100755 if name == "bootstrap" else 0o100644) << 16
            archive.writestr(entry, tree[name].read_bytes())
    files.write_text(stamp, digest.hexdigest())
    return path
