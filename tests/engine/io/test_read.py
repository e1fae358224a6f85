"""What the system does not let be read, and what is no file, told as what it is."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from PIL import Image

from fastsam_plugins import io
from fastsam_plugins.images.contrast import ImageError, to_rgb
from fastsam_plugins.images.reduced_image import ReducedImage
from fastsam_plugins.options import LimitOptions, ReadOptions

READERS = [io.read_image, io.open_raster, io.read_stored]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["pipe.png", "pipe.tif"])
def test_pipes_are_refused_and_nobody_waits_for_them(name, tmp_path):
    os.mkfifo(tmp_path / name)
    for read in READERS:
        with pytest.raises(ImageError, match="is a pipe or a device"):
            read(tmp_path / name)
    assert io.georeference(tmp_path / "out.tif", tmp_path / name) is None


def test_too_many_open_files_are_not_told_as_damage(tmp_path):
    pytest.importorskip("resource")
    picture = Image.fromarray(np.zeros((20, 20, 3), np.uint8))
    picture.save(tmp_path / "i.png")
    picture.save(tmp_path / "i.tif")
    program = """
        import resource, sys
        from fastsam_plugins import io
        paths = sys.argv[1:]
        for path in paths:  # what is imported on the way opens files as well
            io.read_image(path)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True:
                held.append(open(sys.executable))
        except OSError:
            pass
        for path in paths:
            for read in (io.read_image, io.open_raster):
                try:
                    read(path)
                except ValueError as error:
                    print(error)
    """
    paths = [str(tmp_path / n) for n in ("i.png", "i.tif")]
    command = [sys.executable, "-c", textwrap.dedent(program), *paths]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == [
        f"{path} cannot be read (Too many open files)" for path in paths for _ in range(2)
    ]


def test_an_array_larger_than_memory_is_refused_by_its_size():
    endless = np.broadcast_to(np.uint8(5), (10**6, 10**6, 3))
    with pytest.raises(ImageError, match="1000000 x 1000000 pixels takes 3000 GB"):
        to_rgb(endless)


def test_the_command_says_one_line_of_a_file_that_a_library_has_much_to_say_of(tmp_path):
    path = tmp_path / "odd.tif"
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    first = int.from_bytes(content[4:8], "little") + 2
    for tag in range(first, first + 12 * 8, 12):
        content[tag + 2] = 99  # a type that there is none of
    path.write_bytes(content)
    program = "from fastsam_plugins.cli.main import main; main()"
    command = [sys.executable, "-c", program, "segment", str(path), "-o", str(tmp_path / "o.json")]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert len(told.stderr.splitlines()) == 1
    assert "odd.tif is damaged" in told.stderr


@pytest.mark.parametrize("kind", ["jxl", "jxl in a box", "jp2", "pfm"])
def test_pictures_that_nobody_here_reads_are_told_with_what_to_do(kind, tmp_path):
    import imagecodecs

    path, color = tmp_path / "a.png", np.zeros((20, 30, 5), np.uint8)
    if kind == "jp2":
        path.write_bytes(imagecodecs.jpeg2k_encode(color))
    elif kind == "pfm":
        path.write_bytes(b"PF\n20 30\n-1.0\n" + bytes(20 * 30 * 12))
    else:
        boxed = kind == "jxl in a box"
        path.write_bytes(imagecodecs.jpegxl_encode(color[..., :3], usecontainer=boxed))
    for read in READERS:
        with pytest.raises(ImageError, match=r"a\.png is .*, which this cannot read: save it as T"):
            read(path)
    path.write_bytes(b"anything")
    with pytest.raises(ImageError, match=r"a\.png is not an image this can read"):
        io.read_image(path)


def photo(path, size=(1600, 1200), orientation=1, mode="RGB"):
    """A JPEG of bright disks, whose sides are not multiples of 8 where the size's are not."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    values = np.hypot((x % 200) - 100, (y % 200) - 100) < 60
    pixels = np.stack([values * 200, values * 90 + x * 60 // width, y * 60 // height], -1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(pixels.astype(np.uint8)).convert(mode)
    image.save(path, "MPO" if path.suffix == ".mpo" else "JPEG", quality=90, exif=exif)
    return path


REDUCED = ReadOptions(reduced=True)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("name", "mode"), [("a.jpg", "RGB"), ("a.jpg", "L"), ("a.jpg", "CMYK"),
                                            ("a.mpo", "RGB"), ("a.tif", "RGB")])  # fmt: skip
def test_a_reduced_photo_is_the_photo_smaller(name, mode, orientation, tmp_path):
    path = photo(tmp_path / name, (1603, 1201), orientation, mode)
    whole = io.read_image(path)
    read = io.read_for_network(path, lambda: 400, REDUCED, whole=True)
    assert isinstance(read, ReducedImage)
    assert read.shape == whole.shape[:2] == ((1201, 1603) if orientation < 5 else (1603, 1201))
    assert sorted(read.pixels.shape[:2]) == [301, 401], "a quarter, and no smaller than the input"
    assert np.array_equal(read.whole, whole)
    height, width = whole.shape[0] // 4 * 4, whole.shape[1] // 4 * 4
    mean = whole[:height, :width].reshape(height // 4, 4, width // 4, 4, 3).mean((1, 3))
    same = read.pixels[: height // 4, : width // 4]
    # libjpeg leaves frequencies out, which is no mean: alike, but at the edges of the disks.
    assert np.abs(same - mean).mean() < 4
    assert io.read_for_network(path, lambda: 400, REDUCED).whole is None


@pytest.mark.parametrize(("side", "long"), [(200, 200), (201, 400), (400, 400), (801, None)])
def test_it_is_never_smaller_than_the_input(side, long, tmp_path):
    path = photo(tmp_path / "a.jpg")
    read = io.read_for_network(path, lambda: side, REDUCED)
    assert (max(read.pixels.shape) if isinstance(read, ReducedImage) else None) == long


def test_what_is_no_jpeg_or_is_not_asked_for_is_read_whole(tmp_path):
    def side():
        raise AssertionError("nobody needs to know")

    path = photo(tmp_path / "a.jpg")
    assert np.array_equal(io.read_for_network(path, side), io.read_image(path))
    png = tmp_path / "a.png"
    Image.open(path).save(png)
    for options in (REDUCED, REDUCED.replace(bands="2,1,0")):
        read = io.read_for_network(png, side, options)
        assert np.array_equal(read, io.read_image(png, options))


def test_bands_and_contrast_are_those_of_the_whole(tmp_path):
    path = photo(tmp_path / "a.jpg")
    how = REDUCED.replace(bands="2,1,0", contrast="fixed", low=10, high=100)
    read = io.read_for_network(path, lambda: 800, how, whole=True)
    half = np.asarray(Image.fromarray(read.whole).resize((800, 600), Image.Resampling.BOX), float)
    assert np.abs(read.pixels - half).mean() < 6


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 no more", None])
def test_a_damaged_photo_is_told_as_it_is_when_read_whole(content, tmp_path):
    path = photo(tmp_path / "a.jpg")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if content is None else content)
    with pytest.raises(ImageError) as whole:
        io.read_image(path)
    with pytest.raises(ImageError) as reduced:
        io.read_for_network(path, lambda: 400, REDUCED)
    assert str(reduced.value) == str(whole.value)


def test_limits_are_those_of_the_whole(tmp_path):
    path = photo(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="max_pixels is 1000000"):
        io.read_for_network(path, lambda: 400, REDUCED, LimitOptions(max_pixels=1_000_000))
