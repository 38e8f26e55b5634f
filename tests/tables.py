"""Finding the one table of a name below a root, whatever its recipe."""

from pathlib import Path

from eraflow.tables import Store, Version


def folder_of(root: Path, name: str) -> Path:
    """The folder of the only table of this name."""
    (folder,) = (root / name).iterdir()
    return folder


def newest(store: Store, name: str) -> Version:
    """The newest version of the only table of this name."""
    (address,) = store.recipes(name)
    version = store.latest(address)
    assert version is not None
    return version
