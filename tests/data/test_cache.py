"""Decoded images in a folder of files: written once, mapped from then on."""

import threading

import numpy as np
import pytest
from PIL import Image

from tfmeta.data import pictures
from tfmeta.data.folder import load_folder
from tfmeta.data.load import load_image_classes
from tfmeta.data.loader import LoadOptions
from tfmeta.errors import ArgumentError


@pytest.fixture
def photos(tmp_path):
    """A folder of three classes with two images each, in color."""
    rng = np.random.default_rng(0)
    for number in range(6):
        folder = tmp_path / "photos" / f"class{number // 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, [12, 12, 3], np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def load(photos, tmp_path):
    def load(**options):
        return load_folder(str(photos), LoadOptions(cache_dir=str(tmp_path / "cache"), **options))

    return load


@pytest.fixture
def decoded(monkeypatch):
    """The files that are decoded."""
    files, decode = [], pictures.decode
    monkeypatch.setattr(pictures, "decode", lambda file: files.append(file) or decode(file))
    return files


def test_images_are_those_of_memory_and_decoded_once(load, photos, decoded):
    in_memory = load_folder(str(photos))
    assert len(decoded) == 6
    for _ in range(2):
        cached = load()
        np.testing.assert_array_equal(cached.images, in_memory.images)
        assert cached.names == in_memory.names
        assert isinstance(cached.stored.base, np.memmap) or isinstance(cached.stored, np.memmap)
    assert len(decoded) == 12


@pytest.mark.parametrize("change", [{"image_size": 8}, {"channels": 1}])
def test_another_way_of_decoding_has_a_file_of_its_own(load, photos, tmp_path, change):
    load()
    changed = load(**change)
    np.testing.assert_array_equal(
        changed.images, load_folder(str(photos), LoadOptions(**change)).images
    )
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2


def test_a_changed_an_added_and_a_removed_image_are_seen(load, photos):
    load()
    Image.new("RGB", (12, 12), "red").save(photos / "class0" / "0.png")
    assert load().images[0, 0, 0].tolist() == [255, 0, 0]
    Image.new("RGB", (12, 12), "red").save(photos / "class0" / "6.png")
    assert load().counts.tolist() == [3, 2, 2]
    (photos / "class0" / "0.png").unlink()
    (photos / "class1" / "2.png").rename(photos / "class0" / "0.png")
    assert load().counts.tolist() == [3, 1, 2]


def test_a_cut_file_is_written_again(load, tmp_path):
    whole = load().images.copy()
    (path,) = (tmp_path / "cache").glob("*.npy")
    content = path.read_bytes()
    for length in (0, 5, 60, len(content) - 1):
        path.write_bytes(content[:length])
        np.testing.assert_array_equal(load().images, whole)


def test_a_failure_leaves_nothing_behind(load, photos, tmp_path):
    (photos / "class1" / "2.png").write_bytes((photos / "class1" / "2.png").read_bytes()[:-40])
    with pytest.raises(ArgumentError, match="2.png"):
        load()
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] in ([], [".lock"])


def test_several_at_a_time_wait_for_the_one_that_decodes(load, decoded):
    found = []
    threads = [threading.Thread(target=lambda: found.append(load())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(decoded) == 6


def test_a_folder_that_cannot_be_used_is_refused(photos, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ArgumentError, match="^cache_dir=.*/x: .* cannot be kept there .*; give"):
        load_folder(str(photos), LoadOptions(cache_dir=str(tmp_path / "file" / "x")))
    for size in (10**7, 10**30):
        with pytest.raises(ArgumentError, match="^cache_dir=.*: .* on a disk with room for them"):
            load_folder(str(photos), LoadOptions(size, cache_dir=str(tmp_path / "cache")))
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_an_archive_is_kept_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, [3, 2, 8, 8], np.uint8)
    np.savez(tmp_path / "data.npz", images=images, class_names=["b", "a", "c"])
    dataset = f"npz:{tmp_path / 'data.npz'}"
    whole = load_image_classes(dataset, 8)
    for _ in range(2):
        cached = load_image_classes(dataset, 8, cache_dir=str(tmp_path / "cache"))
        np.testing.assert_array_equal(cached.images, whole.images)
        assert cached.names == ("a", "b", "c")


def test_tasks_are_bit_for_bit_those_of_memory(load, photos):
    from tfmeta.tasks.episodes import Episodes

    def batch(classes):
        episodes = Episodes(classes.with_rotations(), 2, 1, 1, seed=3, invert=True)
        return list(episodes.batches(4, steps=2))

    for ours, theirs in zip(batch(load()), batch(load_folder(str(photos))), strict=True):
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])
