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
