"""contrast.py: arrays of any kind -> RGB."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastsam_plugins.images import contrast
from fastsam_plugins.images.contrast import ImageError, to_rgb
from fastsam_plugins.options import ReadOptions

rng = np.random.default_rng(0)
COLOR = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)


def test_rgb_of_8_bits_is_left_alone():
    assert np.array_equal(to_rgb(COLOR), COLOR)


def test_alpha_is_dropped():
    rgba = np.concatenate([COLOR, COLOR[..., :1]], axis=2)
    assert np.array_equal(to_rgb(rgba), COLOR)


def test_gray_is_three_equal_channels():
    gray = COLOR[..., 0]
    assert np.array_equal(to_rgb(gray), np.stack([gray] * 3, axis=2))
    assert np.array_equal(to_rgb(gray[..., None]), to_rgb(gray))


def test_booleans_are_black_and_white():
    mask = COLOR[..., 0] > 128
    assert np.array_equal(to_rgb(mask)[..., 1], np.where(mask, 255, 0))


@pytest.mark.parametrize("value", [False, True])
def test_a_mask_of_one_value_keeps_it(value):
    assert np.array_equal(to_rgb(np.full((3, 4), value)), np.full((3, 4, 3), 255 * value))


@pytest.mark.parametrize(
    "dtype", [np.uint16, np.int16, np.int32, np.uint64, np.float16, np.float64]
)
@pytest.mark.parametrize("offset", [0, 1000])
def test_other_numbers_are_stretched_to_the_whole_range(dtype, offset):
    ramp = (np.arange(300).reshape(15, 20) + offset).astype(dtype)
    out = to_rgb(ramp)
    assert (out.min(), out.max()) == (0, 255)
    assert (np.diff(out[..., 0].ravel().astype(int)) >= 0).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_floats_of_any_range_look_the_same(scale):
    values = rng.normal(size=(30, 40))
    assert np.array_equal(to_rgb(values * scale), to_rgb(values))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("contrast", ["auto", "minmax", "percentile"])
def test_a_constant_image_is_black(dtype, contrast):
    out = to_rgb(np.full((4, 5), 700, dtype), ReadOptions(contrast=contrast))
    assert out.shape == (4, 5, 3)
    assert not out.any()


def test_bands_are_shown_in_the_order_chosen():
    many = rng.integers(0, 256, (6, 5, 8), dtype=np.uint8)
    assert np.array_equal(to_rgb(many, ReadOptions(bands="6,0,3")), many[..., [6, 0, 3]])
    assert np.array_equal(to_rgb(many, ReadOptions(bands="4")), many[..., [4, 4, 4]])
    assert np.array_equal(to_rgb(many), many[..., :3])


def test_bands_are_stretched_together_to_keep_the_colours():
    many = np.stack([np.full((10, 10), v) for v in (100, 200, 350)], axis=2).astype(np.uint16)
    out = to_rgb(many, ReadOptions(contrast="minmax"))
    assert out[0, 0].tolist() == [0, 102, 255]


def test_percentile_saturates_its_share_at_either_end():
    ramp = np.arange(1000, dtype=np.uint16).reshape(20, 50)
    out = to_rgb(ramp, ReadOptions(contrast="percentile", percentile=10))[..., 0]
    assert (out == 0).mean() == pytest.approx(0.1, abs=0.01)
    assert (out == 255).mean() == pytest.approx(0.1, abs=0.01)
    none = to_rgb(ramp, ReadOptions(contrast="percentile", percentile=0))
    assert np.array_equal(none, to_rgb(ramp, ReadOptions(contrast="minmax")))


def test_fixed_contrast_maps_its_limits_to_black_and_white():
    values = np.array([[-5.0, 10.0, 15.0, 20.0, 99.0]])
    out = to_rgb(values, ReadOptions(contrast="fixed", low=10, high=20))
    assert out[0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_no_contrast_clips():
    out = to_rgb(np.array([[-3, 7, 300]]), ReadOptions(contrast="none"))
    assert out[0, :, 0].tolist() == [0, 7, 255]


@pytest.mark.parametrize("contrast", ["minmax", "percentile"])
def test_8_bits_are_stretched_only_when_asked(contrast):
    dull = np.arange(50, 150, dtype=np.uint8).reshape(10, 10)
    assert np.array_equal(to_rgb(dull)[..., 0], dull)
    assert np.ptp(to_rgb(dull, ReadOptions(contrast=contrast))) == 255


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((4, 5, 2)), {}, "2 channels: say which to show, as in bands=0,0,1"),
        (np.zeros((4, 5, 3)), {"bands": "0,1,3"}, "from 0 to 2"),
        (np.zeros((3, 20, 30)), {}, "transpose"),
        (np.array([[0, np.nan]]), {}, "NaN"),
        (np.array([[0, -np.inf]]), {}, "NaN or infinite"),
        (np.zeros((0, 5)), {}, "empty"),
        (np.zeros((5, 5, 0)), {}, "empty"),
        (np.zeros(7), {}, "shape"),
        (np.zeros((2, 3, 4, 3)), {}, "shape"),
        (np.array([[None, 1]]), {}, "numbers"),
        (np.array([["a"]]), {}, "numbers"),
        (np.zeros((4, 5), complex), {}, "numbers"),
        (None, {}, "numbers"),
        ("photo.png", {}, "numbers"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(image, options, message):
    with pytest.raises(ImageError, match=message) as caught:
        to_rgb(image, ReadOptions(**options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": "0,1,-1"}, "one or three"),
        ({"bands": "0,1"}, "one or three"),
        ({"bands": "red"}, "one or three"),
        ({"bands": ""}, "one or three"),
        ({"contrast": "fixed", "low": 5, "high": 5}, "low < high"),
    ],
)
def test_settings_that_fit_no_image_are_refused_before_one_is_read(options, message):
    with pytest.raises(ValueError, match=message):
        ReadOptions(**options)


def test_two_channels_can_be_shown_when_said_how():
    two = rng.integers(0, 256, (4, 5, 2), dtype=np.uint8)
    assert np.array_equal(to_rgb(two, ReadOptions(bands="0,0,1")), two[..., [0, 0, 1]])


def test_lists_are_images_too():
    assert to_rgb([[0, 10], [20, 30]]).shape == (2, 2, 3)


anything = hnp.arrays(
    dtype=hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.unsigned_integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    shape=st.one_of(
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3, 4, 7])),
    ),
    elements={"allow_nan": False, "allow_infinity": False},
)


@given(anything, st.sampled_from(["auto", "percentile", "minmax", "fixed", "none"]))
def test_any_array_becomes_8_bit_rgb_and_stays_as_it_was(image, contrast):
    before = image.copy()
    image.setflags(write=False)
    out = to_rgb(image, ReadOptions(contrast=contrast))
    assert out.dtype == np.uint8
    assert out.shape == (*image.shape[:2], 3)
    assert out.flags.c_contiguous
    assert image.tobytes() == before.tobytes()


@pytest.mark.parametrize("bands", [None, 1, 4])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_masked_pixels_count_for_no_contrast_and_are_black(dtype, bands):
    values = np.linspace(100, 200, 63).reshape(7, 9).astype(dtype)
    values = values if bands is None else np.repeat(values[..., None], bands, 2)
    hidden = np.zeros((7, 9), bool)
    hidden[:2] = True
    spoiled = values.copy()
    spoiled[:2] = np.nan if dtype is np.float32 else 65_535
    mask = hidden if bands is None else np.repeat(hidden[..., None], bands, 2)
    out = to_rgb(np.ma.masked_array(spoiled, mask), ReadOptions(contrast="minmax"))
    assert not out[:2].any()
    assert np.array_equal(out[2:], to_rgb(values[2:], ReadOptions(contrast="minmax")))


def as_it_was(image, options):
    """The stretch as it is defined: on float64 copies of the image, all held at once."""
    array = np.asarray(image)
    array = array[:, :, None] if array.ndim == 2 else array[:, :, :3]
    hidden = np.ma.getmask(image)
    if hidden is np.ma.nomask:
        hidden = np.zeros(array.shape[:2], bool)
    elif hidden.ndim == 3:
        hidden = hidden.all(axis=2)
    contrast = options.contrast
    if contrast == "auto":
        contrast = "none" if array.dtype == np.uint8 else "percentile"
    if array.dtype == np.bool_:
        array, contrast = array.astype(np.uint8) * 255, "none"
    if contrast == "none" and array.dtype == np.uint8:
        return np.broadcast_to(array, (*array.shape[:2], 3))
    values = array[~hidden].astype(np.float64)
    if contrast == "fixed":
        low, high = options.low, options.high
    elif contrast == "none":
        low, high = 0.0, 255.0
    elif not len(values):
        low, high = 0.0, 0.0
    else:
        share = options.percentile if contrast == "percentile" else 0.0
        both = np.percentile(values, [share, 100 - share], axis=0)
        low, high = both[0].min(), both[1].max()
    scaled = (array.astype(np.float64) - low) * (255 / (high - low) if high > low else 0)
    out = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
    out[hidden] = 0
    return np.broadcast_to(out, (*array.shape[:2], 3))


DTYPES = [bool, "u1", "i1", "u2", ">u2", "i2", ">i2", "u4", "i4", "u8", "i8", "f2", "f4", ">f4",
          "f8", np.longdouble]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("contrast", ["auto", "percentile", "minmax", "fixed", "none"])
@pytest.mark.parametrize("bands", [0, 1, 3, 5])
def test_strips_are_stretched_to_the_bit_as_the_whole(dtype, contrast, bands, monkeypatch):
    monkeypatch.setattr("fastsam_plugins.images.contrast._STRIP", 1000)
    options = ReadOptions(contrast=contrast, low=-20, high=300.5, percentile=0.7)
    shape = (71, 153) + (bands,) * (bands > 0)
    values = np.random.default_rng(bands).gamma(2, 60, shape) - 40
    image = (values > 60) if dtype is bool else np.clip(values, 0, 127).astype(dtype)
    if np.dtype(dtype).kind in "fi" and np.dtype(dtype).itemsize > 1:
        image = (values * 31).astype(dtype)
    assert np.array_equal(to_rgb(image, options), as_it_was(image, options))
    large = np.tile(image, (5, 3, 1)[: image.ndim])  # by the table of all values
    assert np.array_equal(to_rgb(large, options), as_it_was(large, options))
    hidden = np.random.default_rng(1).random(shape) < 0.3
    if bands:
        hidden[:] = hidden[:, :, :1]
    masked = np.ma.masked_array(image, hidden)
    assert np.array_equal(to_rgb(masked, options), as_it_was(masked, options))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_an_image_of_other_rows_is_that_of_the_array(dtype):
    """What is read strip by strip: nothing else is asked of it than rows."""

    class Rows:
        shape, step = (90, 40, 3), 16

        def __init__(self, array):
            self.array, self.dtype = array, array.dtype

        def __getitem__(self, index):
            assert index.start % 16 == 0
            return self.array[index]

    array = rng.gamma(2, 900, (90, 40, 3)).astype(dtype)
    assert np.array_equal(contrast.from_rows(Rows(array)), to_rgb(array))
    turned = np.zeros((40, 90, 3), np.uint8)
    contrast.from_rows(Rows(array), out=turned.swapaxes(0, 1))
    assert np.array_equal(turned, to_rgb(array).swapaxes(0, 1))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_stretch_takes_little_more_memory_than_its_result(dtype):
    """It took 8 copies of the image in float64: 70 bytes per pixel of three 16-bit bands."""
    array = rng.integers(0, 5000, (1500, 2000, 3)).astype(dtype)
    to_rgb(array[:9, :9])
    tracemalloc.start()
    try:
        out = to_rgb(array)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < out.nbytes + 40e6


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("contrast", ["auto", "minmax"])
def test_the_largest_doubles_are_stretched_as_small_ones_are(contrast):
    small = np.random.default_rng(0).uniform(-1, 1, (40, 50))
    options = ReadOptions(contrast=contrast)
    shown = to_rgb(small * 1.7e308, options)
    assert np.array_equal(shown, to_rgb(small, options))
    assert (shown.min(), shown.max()) == (0, 255)
    far = small.copy()
    far[0, 0], far[1, 1] = -1.7e308, 1.7e308  # of which a percentile takes no notice
    assert to_rgb(far)[0, 0, 0] == 0
    assert to_rgb(far)[1, 1, 0] == 255
