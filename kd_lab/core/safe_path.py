"""Keeps the working folder out of what is imported: a queue.py or torch.py that lies there is a file of the user's.

It imports nothing that could lie there itself.
"""

import os
import sys

SAFE = "PYTHONSAFEPATH"  # Python's own: where it is set, a process that is started looks only in the usual places
_OWN = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))


def without_working_folder(places: list[str]) -> list[str]:
    """The places to import from, without the working folder unless PYTHONPATH names it.

    Where kd_lab itself lies there, as in a checkout, it comes last; first only where another kd_lab would be found.
    """
    try:
        folder = os.getcwd()
    except OSError:  # it has been removed
        folder = ""
    if folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) and folder:
        return [place for place in places if place]
    kept = [place for place in places if place not in ("", folder)]
    if os.path.realpath(folder) != _OWN or len(kept) == len(places):
        return kept
    return [folder, *kept] if _another(kept) else [*kept, folder]


def leave_out_working_folder() -> None:
    """Takes the working folder out of what this process and those that it starts import from."""
    sys.path[:] = without_working_folder(sys.path)
    if os.environ.get("PYTHONPATH"):  # an empty part of it, as PYTHONPATH=$PYTHONPATH:/more leaves, is that folder too
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, os.environ["PYTHONPATH"].split(os.pathsep)))
    if sys.path[-1:] != [_OWN]:  # else those that are started find kd_lab nowhere but there
        os.environ.setdefault(SAFE, "1")


def _another(places: list[str]) -> bool:
    return any(os.path.isfile(os.path.join(place, "kd_lab", "__init__.py")) for place in places)
