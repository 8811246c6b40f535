"""The photos in a folder."""

from pathlib import Path

from .photos import SUFFIXES


def find_photos(folder: str | Path) -> list[Path]:
    """All image files in a folder and its subfolders, sorted; hidden ones are left out.

    Raises:
        FileNotFoundError: if there is no such folder, or no photo in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: check the path")
    photos = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not photos:
        raise FileNotFoundError(f"{folder} holds no photos ({', '.join(sorted(SUFFIXES))})")
    return photos
