"""`--problems folder:PATH --prior SOURCE`: problems of a user's own images, in this process and in its workers."""

from __future__ import annotations

from pathlib import Path

from benchmarks.prepare import compilation_cache
from problems.folder_tasks import register_folder
from problems.names import UsageError

FOLDER = "folder:"


def with_folders(problems: tuple[str, ...] | None, prior: str | None) -> tuple[tuple[str, ...] | None, list[Path]]:
    """Registers the problems of every folder among names of problems.

    Returns:
        The names, those of its problems in the place of each folder; and plugins that register them in a worker.

    Raises:
        UsageError: for a folder without a prior, a prior without a folder, and what `register_folder` refuses.
    """
    folders = [name for name in problems or () if name.startswith(FOLDER)]
    if not folders and prior is not None:
        raise UsageError("--prior is of your own images: --problems folder:PATH")
    if folders and prior is None:
        raise UsageError(f"{folders[0]} needs a network that knows such images: --prior SOURCE")
    names, plugins = [], []
    for name in problems or ():
        if not name.startswith(FOLDER) or prior is None:
            names.append(name)
            continue
        folder = Path(name.removeprefix(FOLDER)).resolve()
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}")
        source = str(Path(prior).resolve()) if Path(prior).exists() else prior
        found = register_folder(folder, source)
        names += found
        plugins.append(_plugin(found[0], folder, source))
    return (tuple(names) if problems is not None else None), plugins


def _plugin(name: str, folder: Path, prior: str) -> Path:
    """A file that registers the problems of a folder; the same for the same images and prior."""
    path = compilation_cache().parent / "folders" / f"{name.rpartition('-')[0]}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "from pathlib import Path\n\nfrom problems.folder_tasks import register_folder\n\n"
        f"register_folder(Path({str(folder)!r}), {prior!r})\n",
        encoding="utf-8",
    )
    return path
