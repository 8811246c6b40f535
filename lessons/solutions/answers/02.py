"""Lesson 02: what is asked, our answers, and typical mistakes."""

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from colorize_course import Choice, Number, expect, expect_not, expect_same, expect_shape, expect_written
from colorize_lib import PhotoError, open_photo, rgb_to_lab, split_lab
from colorize_lib.photos import resize_photo

PREDICTIONS = {
    "phone": Choice(
        "A photo is stored on its side, with a note. What does `np.asarray(Image.open(file))` give?",
        ["the photo upright", "the photo on its side", "an error"], 1,
    ),
    "augment": Choice(
        "Which of these teaches the network colours that do not exist?",
        ["mirror left-right", "random crops", "a random change of hue"], 2,
    ),
    "leak": Number("How many of the 22 photos that you now validate with have been trained on?", 13, 4),
    "where": Choice(
        "Where on the a*b* plane are most pixels?",
        ["spread out evenly", "close to grey", "in a few strong colours"], 1,
    ),
    "average": Number("How many per cent of the photos are yellowish on average?", 81, 7),
    "dress": Choice(
        "Red in 60 of 100 cases, blue in 40. Which single answer has the smallest mean absolute error?",
        ["red", "blue", "purple, in the middle"], 0,
    ),
    "upside_down": Choice(
        "Two colours by height, and the photos upside down: how large is the error?",
        ["as upright", "between that and grey's", "larger than grey's"], 2,
    ),
}  # fmt: skip

QUIZ = [
    Choice("Why keep uint8 RGB in memory, and not float32 Lab?",
           ["it is a quarter of the size, and the file had 8 bits anyway", "PyTorch cannot keep floats", "Lab needs a GPU"],
           0, "Nothing is lost but by the scaling. The conversion is done per batch."),
    Number("How many MB are 1,000 photos of 3 × 256 × 256 bytes? (1 MB is 1,000,000 bytes.)", 196.6, 1,
           "3 · 256 · 256 · 1000 / 1e6 = 196.6."),
    Choice("You add ten photos to a folder that was split by a hash. Which old photos change sides?",
           ["about a fifth", "those next to the new ones", "none"], 2, "Each photo decides for itself, by its own name."),
    Choice("You rename all files of that folder. What happens to the split?",
           ["nothing", "it is drawn anew", "all photos go to training"], 1,
           "The hash is of the name. Keep the names, or keep lists of both sides."),
    Choice("Why is random brightness less harmful than random hue?",
           ["it changes the question, not the answer", "it is faster", "eyes see no brightness"], 0,
           "A change of L* alters the input. A change of hue alters the target."),
    Choice("A friend's network has an ab error of 12 on her photos. Is that good?",
           ["yes, below 20", "no, above 10", "nobody can say yet"], 2,
           "Measure grey and the mean colour on the same photos first. On dull photos, 12 can be worse than grey."),
    Number("A dress is red (a* = 60) in 3 of 5 photos, and blue (a* = 10) in 2. Which a* has the smallest mean squared error?",
           40, 0.01, "The mean: (3 · 60 + 2 · 10) / 5 = 40. It is a purple that no dress has."),
    Choice("In the same photos, which a* has the smallest mean absolute error?", ["10", "35", "40", "60"], 3,
           "The median: the colour of the majority."),
]  # fmt: skip


def some_files(folder: str) -> list[Path]:
    """Photos, wide, high and large, and a text that calls itself a photo."""
    paths = [Path(folder) / name for name in ("wide.png", "letter.jpg", "high.png", "large.jpg")]
    ramp = np.linspace(0, 255, 40 * 60 * 3).astype(np.uint8)
    Image.fromarray(ramp.reshape(40, 60, 3)).save(paths[0])
    paths[1].write_text("Dear Grandma, this is no photo.")
    Image.fromarray(ramp[::-1].reshape(60, 40, 3).copy()).save(paths[2])
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(paths[3])
    return paths


# --- A Dataset


class SquarePhotos(Dataset):
    def __init__(self, photos, size):
        self.squares, self.skipped = [], []
        for photo in photos:
            try:
                rgb = open_photo(photo, min_side=size)
            except PhotoError as error:
                self.skipped.append(str(error))
                continue
            square = resize_photo(rgb, size, size)
            self.squares.append(torch.from_numpy(square.copy()).permute(2, 0, 1))

    def __len__(self):
        return len(self.squares)

    def __getitem__(self, index):
        return self.squares[index]


def check_SquarePhotos(theirs):
    with TemporaryDirectory() as folder:
        paths = some_files(folder)
        try:
            dataset = theirs(paths, 16)
        except PhotoError:
            expect(
                False,
                "It stops at the broken file. Catch PhotoError, note str(error) in `skipped`, and continue.",
            )
        expect_written(dataset.__len__())
        expect(len(dataset) == 3, f"There are 3 photos that can be read; its length is {len(dataset)}.")
        expect(len(dataset.skipped) == 1, "`skipped` has to hold one sentence, for the one broken file.")
        why = dataset.skipped[0]
        expect(
            isinstance(why, str) and why != str(paths[1]),
            "`skipped` has to hold the sentence that says why: `str(error)`.",
        )
        array = resize_photo(open_photo(paths[2]), 16, 16).copy()
        right = torch.from_numpy(array).permute(2, 0, 1)
        large = torch.from_numpy(resize_photo(open_photo(paths[3], min_side=16), 16, 16).copy()).permute(
            2, 0, 1
        )
        for path in paths:
            path.unlink()
        try:
            square = dataset[1]
        except PhotoError:
            expect(False, "It opens the file again in `__getitem__`. Decode each photo once, in `__init__`.")
        expect_shape(square, (3, 16, 16))
        expect(square.dtype == torch.uint8, f"A square has to stay uint8; yours is {square.dtype}.")
        expect_not(
            square,
            torch.from_numpy(array).reshape(3, 16, 16),
            "The channels are mixed: `reshape` keeps the order of the numbers; `permute(2, 0, 1)` moves the channels.",
            1,
        )
        expect_not(square, right.mT, "Rows and columns are exchanged: `permute(2, 0, 1)`.", 1)
        expect_same(square, right, "Square 1 has other values: scale with resize_photo(rgb, size, size).", 1)
        expect_same(dataset[2], large, "A large JPEG has other values: open it with `min_side=size`.", 1)
        expect(
            getattr(dataset.squares[1], "shape", ()) == (3, 16, 16) and torch.is_tensor(dataset.squares[1]),
            "`squares` itself has to hold tensors (3, size, size), for a later cell takes them from there.",
        )


class SquarePhotos__breaks_off(SquarePhotos):
    def __init__(self, photos, size):
        self.skipped = []
        squares = [resize_photo(open_photo(photo), size, size) for photo in photos]
        self.squares = [torch.from_numpy(square.copy()).permute(2, 0, 1) for square in squares]


class SquarePhotos__channels_last(SquarePhotos):
    def __getitem__(self, index):
        return self.squares[index].permute(1, 2, 0)


class SquarePhotos__opens_each_time(SquarePhotos):
    def __init__(self, photos, size):
        super().__init__(photos, size)
        self.photos, self.size = [photo for photo in photos if photo.name != "letter.jpg"], size

    def __getitem__(self, index):
        square = resize_photo(open_photo(self.photos[index]), self.size, self.size)
        return torch.from_numpy(square.copy()).permute(2, 0, 1)


class SquarePhotos__floats(SquarePhotos):
    def __getitem__(self, index):
        return self.squares[index] / 255


# --- A crop, mirrored


def mirrored_crop(photo, top, left, height, width, mirror):
    crop = photo[:, top : top + height, left : left + width]
    return crop.flip(2) if mirror else crop


def check_mirrored_crop(theirs):
    photo = torch.arange(3 * 5 * 7, dtype=torch.uint8).reshape(3, 5, 7)
    crop = theirs(photo, 1, 2, 3, 4, False)
    expect_shape(crop, (3, 3, 4))
    expect_same(
        crop,
        photo[:, 1:4, 2:6],
        "Not mirrored, it shows another part: rows top to top + height, columns left to left + width.",
        0,
    )
    right = photo[:, 1:4, 2:6].flip(2)
    turned = theirs(photo, 1, 2, 3, 4, True)
    expect_shape(turned, (3, 3, 4))
    expect(
        not torch.equal(turned, photo[:, 1:4, 2:6]), "With mirror=True it has to be mirrored, and it is not."
    )
    expect(
        not torch.equal(turned, right.flip(1, 2)),
        "It is mirrored top-bottom. Columns are the last of the three.",
    )
    expect_same(turned, right, "Mirrored, it shows another part of the photo: cut first, then mirror.", 0)


def mirrored_crop__upside_down(photo, top, left, height, width, mirror):
    crop = photo[:, top : top + height, left : left + width]
    return crop.flip(1) if mirror else crop


def mirrored_crop__mirrored_first(photo, top, left, height, width, mirror):
    photo = photo.flip(2) if mirror else photo
    return photo[:, top : top + height, left : left + width]


def mirrored_crop__height_as_end(photo, top, left, height, width, mirror):
    crop = photo[:, top:height, left:width]
    return crop.flip(2) if mirror else crop


# --- The split by a hash


def is_for_validation(name, share=0.2, seed=0):
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    number = int.from_bytes(digest[:8], "big") / 2**64
    return number < share


def number_of(name, order):
    """The first 8 bytes of the hash, read in an order, as a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(f"0/{name}".encode()).digest()[:8], order) / 2**64


def check_is_for_validation(theirs):
    names = [f"photo_{i:04d}.jpg" for i in range(1000)]
    sides = [theirs(name) for name in names]
    expect_written(sides[0])
    expect(
        all(isinstance(side, (bool, np.bool_)) for side in sides),
        "It has to return True or False: `number < share`.",
    )
    expect(
        sides == [theirs(name) for name in names], "Asked twice about the same name, it answers differently."
    )
    expect(
        0.15 < np.mean(sides) < 0.25,
        f"It sends {np.mean(sides):.0%} to validation; about 20 % were asked for.",
    )
    expect(
        0.4 < np.mean([theirs(name, 0.5) for name in names]) < 0.6,
        "With share=0.5, about half should go to validation.",
    )
    expect(sides != [theirs(name, 0.2, 1) for name in names], "Another seed should give another split.")
    numbers = [number_of(name, "big") for name in names]
    expect(
        sides != [number > 0.8 for number in numbers],
        "It takes the numbers at the other end: those below `share` go to validation.",
    )
    expect(
        sides != [number_of(name, "little") < 0.2 for name in names],
        'It reads the bytes in the other order: the most significant one comes first, "big".',
    )
    expect(
        sides == [number < 0.2 for number in numbers],
        "It works, but not as the library does: hash f'{seed}/{name}' with sha256, and take the first 8 bytes.",
    )


def is_for_validation__drawn_each_time(name, share=0.2, seed=0):
    return bool(np.random.default_rng().random() < share)


def is_for_validation__the_other_end(name, share=0.2, seed=0):
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 > 1 - share


def is_for_validation__little(name, share=0.2, seed=0):
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") / 2**64 < share


def is_for_validation__pythons_hash(name, share=0.2, seed=0):
    return hash(f"{seed}/{name}") % 1000 / 1000 < share


def is_for_validation__seed_ignored(name, share=0.2, seed=0):
    return is_for_validation(name, share)


def is_for_validation__share_ignored(name, share=0.2, seed=0):
    return is_for_validation(name, 0.2, seed)


# --- A batch


def to_batch(rgb):
    L, ab = split_lab(rgb_to_lab(rgb))
    return {"L": L, "ab": ab}


def check_to_batch(theirs):
    rgb = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    batch, right = theirs(rgb), to_batch(rgb)
    expect_written(batch)
    expect(
        isinstance(batch, dict) and set(batch) == {"L", "ab"},
        "It has to return a dictionary with the keys L and ab.",
    )
    for key in ("L", "ab"):
        expect_shape(batch[key], right[key].shape)
    expect(
        batch["L"].abs().max() <= 101,
        "L is far out of range: `rgb_to_lab` takes uint8 as it is; floats have to be divided by 255.",
    )
    for key in ("L", "ab"):
        expect(batch[key].abs().max() <= 1.01, f"{key} has values beyond −1 to 1: `split_lab` scales them.")
        expect_same(
            batch[key],
            right[key],
            f"{key} has other values. `rgb_to_lab` takes uint8 as it is, without dividing.",
            1e-3,
        )


def to_batch__not_scaled(rgb):
    lab = rgb_to_lab(rgb)
    return {"L": lab[:, :1], "ab": lab[:, 1:]}


def to_batch__floats_to_255(rgb):
    return to_batch(rgb.float())


def to_batch__as_a_pair(rgb):
    return split_lab(rgb_to_lab(rgb))


def to_batch__divided_as_bytes(rgb):
    return to_batch(rgb // 255)


# --- The best single colour


def best_single_colour(ab):
    return ab.transpose(0, 1).flatten(1).median(dim=1).values


def check_best_single_colour(theirs):
    photos = [[[0.0, 7, 7], [5, -2, -2]], [[0, 6, 6], [5, -1, -1]], [[0, 0, 0], [5, 5, 5]]]
    ab = torch.tensor(photos).reshape(3, 2, 1, 3)
    colour = theirs(ab)
    expect_shape(colour, (2,))
    for wrong, sentence in (
        (
            ab.mean(dim=(0, 2, 3)),
            "That is the mean: best for the squared error. For the absolute error, take the median.",
        ),
        (
            ab.reshape(2, -1).median(dim=1).values,
            "It mixes a* and b*: transpose before you flatten, so that each row holds one channel.",
        ),
        (
            ab.flatten(2).median(dim=2).values.median(dim=0).values,
            "That is the median of the photos' medians: take one median over all pixels of all photos.",
        ),
    ):
        expect((colour - wrong).abs().max() > 1e-4, sentence)
    for colours in (ab, torch.randn(2, 2, 3, 5).exp()):
        costs = [
            (colours - c[:, None, None]).abs().mean().item()
            for c in (theirs(colours), best_single_colour(colours))
        ]
        expect(
            costs[0] <= costs[1] + 1e-6,
            f"Its mean absolute error is {costs[0]:.3f}; {costs[1]:.3f} is possible.",
        )


def best_single_colour__the_mean(ab):
    return ab.mean(dim=(0, 2, 3))


def best_single_colour__of_medians(ab):
    return ab.flatten(2).median(dim=2).values.median(dim=0).values


def best_single_colour__channels_mixed(ab):
    return ab.reshape(2, -1).median(dim=1).values


def best_single_colour__of_one_photo(ab):
    return ab[0].flatten(1).median(dim=1).values


def best_single_colour__of_both_channels(ab):
    return ab.median().expand(2)


# --- Two colours by height


def colours_by_height(ab):
    middle = ab.shape[2] // 2
    upper, lower = ab[:, :, :middle], ab[:, :, middle:]
    return torch.stack([best_single_colour(upper), best_single_colour(lower)])


def check_colours_by_height(theirs):
    ab = torch.randn(3, 2, 4, 5).exp()  # 30 values a channel and half: two of them are medians
    ab[:, :, 2:] += 1
    colours = theirs(ab)
    expect_shape(colours, (2, 2))
    ours = colours_by_height(ab)
    best_left, best_right = best_single_colour(ab[..., :2]), best_single_colour(ab[..., 2:])
    for wrong, sentence in (
        (ours.flip(0), "Row 0 is for the upper half: height is counted from above."),
        (ours.T, "Each row is a colour: its a*, then its b*."),
        (
            torch.stack([best_left, best_right]),
            "These are the left and the right: rows are the third of the four sides.",
        ),
        (
            best_single_colour(ab).expand(2, 2),
            "Both halves have the same colour: cut the photos in two first.",
        ),
        (
            torch.stack([half.mean(dim=(0, 2, 3)) for half in (ab[:, :, :2], ab[:, :, 2:])]),
            "These are means. For the absolute error, `best_single_colour` has the median.",
        ),
    ):
        expect_not(colours, wrong, sentence)
    for name, half, colour in (("upper", ab[:, :, :2], colours[0]), ("lower", ab[:, :, 2:], colours[1])):
        costs = [(half - c[:, None, None]).abs().mean().item() for c in (colour, best_single_colour(half))]
        expect(
            costs[0] <= costs[1] + 1e-6,
            f"The mean absolute error of the {name} half is {costs[0]:.3f}; {costs[1]:.3f} is possible.",
        )


def colours_by_height__below_first(ab):
    return colours_by_height(ab).flip(0)


def colours_by_height__left_and_right(ab):
    return colours_by_height(ab.transpose(2, 3))


def colours_by_height__transposed(ab):
    return colours_by_height(ab).T


def colours_by_height__the_mean(ab):
    middle = ab.shape[2] // 2
    return torch.stack([half.mean(dim=(0, 2, 3)) for half in (ab[:, :, :middle], ab[:, :, middle:])])


def colours_by_height__of_one_photo(ab):
    return colours_by_height(ab[:1])


# --- Exercise


def is_nearly_grey(lab, threshold=5.0):
    return lab[:, 1:].norm(dim=1).mean().item() < threshold


def check_is_nearly_grey(theirs):
    grey, pale, red = (
        torch.tensor([50.0, a, b])[None, :, None, None].expand(1, 3, 3, 5)
        for a, b in ((1, 1), (0, 8), (60, 40))
    )
    expect_written(theirs(grey))
    expect(theirs(grey) and not theirs(red), "A photo with a* = b* = 1 is nearly grey, a red one is not.")
    flag, dot = torch.zeros(2, 1, 3, 2, 5)  # one pixel of ten has colour
    flag[:, 1, 0, 0], dot[:, 1, 0, 0] = 55.0, 20.0
    expect(not theirs(flag), "One pixel of ten with a chroma of 55: the mean is 5.5, which is not below 5.")
    expect(theirs(dot), "One pixel of ten with a chroma of 20: the mean is 2, which is below 5.")
    expect(not theirs(pale, 7.5) and theirs(pale, 8.5), "The threshold is for the mean chroma: here it is 8.")
    mixed = torch.tensor([[50.0, 30, 0], [50, -30, 0]]).T.reshape(1, 3, 1, 2)
    expect(
        not theirs(mixed), "Red and green are not grey, although their mean is: chroma first, then the mean."
    )


def is_nearly_grey__of_the_mean(lab, threshold=5.0):
    return lab[:, 1:].mean(dim=(2, 3)).norm().item() < threshold


def is_nearly_grey__with_lightness(lab, threshold=5.0):
    return lab.norm(dim=1).mean().item() < threshold
