"""A small `aclImdb`, as an archive and as a folder."""

import io
import tarfile

import pytest

from tests.datasets.reviews import members


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "small.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name, data in members():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def folder(archive, tmp_path):
    with tarfile.open(archive) as file:
        file.extractall(tmp_path / "data", filter="data")
    return tmp_path / "data" / "aclImdb"
