"""Run-length encoded masks and BOP's detection files."""

import json

import numpy as np
import pytest

from mrc_core.data.bop_detections import BopDetection, read_bop_detections, write_bop_detections
from mrc_core.data.rle import decode_mask, encode_mask

# columns from left to right: 0 1 | 1 1 | 1 0
SMALL = np.array([[0, 1, 1], [1, 1, 0]], dtype=bool)


def compress(counts):
    """COCO's string of run lengths, as its C code makes it (rleToString)."""
    text = ""
    for i, count in enumerate(counts):
        x = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits = x & 0x1F
            x >>= 5
            more = x != -1 if bits & 0x10 else x != 0
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


def random_masks(count=40):
    rng = np.random.default_rng(0)
    for _ in range(count):
        shape = rng.integers(1, 60, 2)
        yield rng.random(shape) < rng.choice([0.0, 0.02, 0.5, 0.98, 1.0])


def test_a_hand_made_mask():
    assert encode_mask(SMALL) == {"counts": [1, 4, 1], "size": [2, 3]}
    assert np.array_equal(decode_mask({"counts": [1, 4, 1], "size": [2, 3]}), SMALL)


def test_a_mask_that_begins_with_ones_has_a_first_run_of_no_zeros():
    mask = np.array([[1, 0], [0, 1]])
    assert encode_mask(mask) == {"counts": [0, 1, 2, 1], "size": [2, 2]}
    assert encode_mask(np.ones((2, 2), bool))["counts"] == [0, 4]
    assert encode_mask(np.zeros((2, 2), bool))["counts"] == [4]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("141", [1, 4, 1]),
        ("0121O", [0, 1, 2, 2, 1]),  # 2 - 1 is "1", 1 - 2 is -1: all five bits set, 31 + 48 is "O"
        ("T3", [100]),  # 100 = 3 * 32 + 4: "4, more" is 4 + 32 + 48, then 3
        ("`0", [16]),  # 16 alone would be read as -16, since its bit 4 is the sign: a zero follows
        (b"141", [1, 4, 1]),
    ],
)
def test_compressed_strings_by_hand(text, counts):
    mask = decode_mask({"counts": text, "size": [1, sum(counts)]})
    assert np.array_equal(mask, decode_mask({"counts": counts, "size": [1, sum(counts)]}))


def test_any_mask_comes_back():
    for mask in random_masks():
        rle = encode_mask(mask)
        json.dumps(rle)  # plain numbers
        assert np.array_equal(decode_mask(rle), mask)
        assert np.array_equal(decode_mask({"counts": compress(rle["counts"]), "size": rle["size"]}), mask)


@pytest.mark.parametrize(
    ("rle", "words"),
    [
        ({"counts": [1, 4], "size": [2, 3]}, "sum to 5, but 2 x 3 has 6"),
        ({"counts": [3, -1, 4], "size": [2, 3]}, "negative"),
        ({"counts": [6]}, "no size"),
        ({"counts": [6], "size": [6]}, "two positive whole numbers"),
        ({"counts": [6], "size": [2, -3]}, "two positive whole numbers"),
        ({"counts": [6], "size": [2.0, 3.0]}, "two positive whole numbers"),
        ({"counts": [2**40], "size": [2**20, 2**20]}, "refused"),
        ({"size": [2, 3]}, "not missing"),
        ({"counts": [1.5, 4.5], "size": [2, 3]}, "1.5, which is not a whole number"),
        ({"counts": [True, 5], "size": [2, 3]}, "not a whole number"),
        ({"counts": "14", "size": [2, 3]}, "sum to 5"),
        ({"counts": "14T", "size": [2, 3]}, "middle of a number"),
        ({"counts": "1 4", "size": [2, 3]}, "character ' '"),
        ({"counts": "T" * 40, "size": [2, 3]}, "without an end"),
        ([1, 4, 1], "not list"),
    ],
)
def test_damaged_encodings_say_what_is_wrong(rle, words):
    with pytest.raises(ValueError, match=words):
        decode_mask(rle)


@pytest.mark.parametrize("shape", [(0, 3), (4,), (2, 2, 3)])
def test_what_is_no_mask_is_refused(shape):
    with pytest.raises(ValueError, match="shape"):
        encode_mask(np.zeros(shape, bool))


# ---- detection files -------------------------------------------------------------------------------------------------
GOOD = {
    "scene_id": 2,
    "image_id": 7,
    "category_id": 5,
    "score": 0.75,
    "bbox": [10, 20.5, 30, 40],
    "segmentation": {"counts": [1, 4, 1], "size": [2, 3]},
    "time": 0.2,
}


def read(tmp_path, content):
    path = tmp_path / "detections.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_bop_detections(path)


def test_an_entry_as_bop_writes_it(tmp_path):
    found, problems = read(tmp_path, [GOOD])
    assert problems == []
    assert found[0].box_xyxy_px == (10, 20.5, 40, 60.5)
    assert (found[0].scene_id, found[0].image_id, found[0].obj_id) == (2, 7, 5)
    assert (found[0].score, found[0].time_s) == (0.75, 0.2)
    assert np.array_equal(found[0].mask(), SMALL)


def test_masks_and_time_are_optional_and_masks_may_be_compressed(tmp_path):
    bare = {key: value for key, value in GOOD.items() if key not in ("segmentation", "time")}
    squeezed = GOOD | {"segmentation": {"counts": "141", "size": [2, 3]}}
    found, problems = read(tmp_path, [bare, squeezed])
    assert problems == []
    assert found[0].mask() is None
    assert found[0].time_s == -1
    assert np.array_equal(found[1].mask(), SMALL)


def test_what_is_written_is_read_again(tmp_path):
    rng = np.random.default_rng(0)
    written = []
    for i in range(20):
        corner, size = rng.uniform(-5, 600, 2), rng.uniform(0.5, 300, 2)
        box = tuple(np.concatenate([corner, corner + size]).tolist())
        rle = encode_mask(rng.random((9, 7)) < 0.5) if i % 2 else None
        written.append(BopDetection(i % 3, i, 1 + i, float(rng.random()), box, -1.0 if i % 5 else 0.3, rle))
    path = tmp_path / "new" / "folder" / "d.json"
    write_bop_detections(path, written)
    found, problems = read_bop_detections(path)
    assert problems == []
    for a, b in zip(written, found):
        assert b.box_xyxy_px == pytest.approx(a.box_xyxy_px, abs=1e-5)
        assert (a.scene_id, a.image_id, a.obj_id, a.score, a.time_s) == (
            b.scene_id, b.image_id, b.obj_id, b.score, b.time_s
        )  # fmt: skip
        assert a.mask_rle == b.mask_rle
    assert len(found) == 20
    assert [p.name for p in path.parent.iterdir()] == ["d.json"]
    write_bop_detections(path, [])
    assert read_bop_detections(path) == ([], [])


def test_nan_is_not_written(tmp_path):
    path = tmp_path / "d.json"
    write_bop_detections(path, [])
    with pytest.raises(ValueError, match="JSON"):
        write_bop_detections(path, [BopDetection(1, 1, 1, float("nan"), (0, 0, 1, 1))])
    assert read_bop_detections(path) == ([], [])  # the old file is whole


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scene_id": None}, "scene_id is None, which is not a number"),
        ({"image_id": "7"}, "image_id is '7', which is not a number"),
        ({"category_id": 1.5}, "category_id is 1.5: a whole number"),
        ({"category_id": -1}, "category_id is -1: a whole number"),
        ({"scene_id": True}, "scene_id is True"),
        ({"score": float("nan")}, "score is nan: a finite number"),
        ({"score": 10**400}, "score is inf"),
        ({"time": float("inf")}, "time is inf"),
        ({"time": "fast"}, "time is 'fast'"),
        ({"bbox": [0, 0, 10]}, "four numbers"),
        ({"bbox": {"x": 0}}, "four numbers"),
        ({"bbox": [0, 0, 10, float("nan")]}, "bbox is nan"),
        ({"bbox": [0, 0, "a", 1]}, "bbox is 'a'"),
        ({"bbox": [0, 0, 0, 10]}, "no area"),
        ({"bbox": [0, 0, 10, -1]}, "no area"),
        ({"segmentation": {"counts": [1], "size": [2, 3]}}, "sum to 1"),
        ({"segmentation": [[0, 0, 1, 1]]}, "an RLE is an object"),
    ],
)
def test_a_bad_entry_is_named_and_left_out(tmp_path, change, words):
    found, problems = read(tmp_path, [GOOD, GOOD | change, GOOD])
    assert len(found) == 2
    assert len(problems) == 1
    assert "entry 1: " in problems[0]
    assert words in problems[0]


@pytest.mark.parametrize("key", ["scene_id", "image_id", "category_id", "score", "bbox"])
def test_a_missing_key_is_named(tmp_path, key):
    found, problems = read(tmp_path, [{k: v for k, v in GOOD.items() if k != key}, "nothing"])
    assert found == []
    assert f"entry 0: {key} is missing" in problems[0]
    assert "entry 1: an object" in problems[1]


def test_files_that_are_no_list(tmp_path):
    with pytest.raises(ValueError, match="not valid JSON"):
        read(tmp_path, "[{")
    with pytest.raises(ValueError, match="holds no list"):
        read(tmp_path, {"detections": []})
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_bop_detections(tmp_path / "none.json")
