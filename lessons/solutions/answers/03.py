"""Lesson 03: what is asked, our answers, and typical mistakes."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from colorize_course import Choice, FewBatches, Number, expect, expect_not, expect_same, expect_written

PREDICTIONS = {
    "shape": Choice(
        "What comes out of `UnetBlock(64, 128)`?", ["64 channels of 16²", "128 channels of 16²", "128 channels of 32²"], 2
    ),
    "wraps": Choice("How large a picture does it take after three wraps?", ["8²", "16²", "32²"], 1),
    "whole": Choice("From which level on does a unit see (nearly) all of 256 pixels?", ["level 5", "level 6", "level 7"], 2),
    "unseen": Choice("Four photos by heart. On new photos, does it beat grey?", ["yes", "no"], 1),
    "four": Choice(
        "On photos that it never saw, is your U-Net clearly better than two colours by height?", ["yes", "no"], 1
    ),
    "green": Choice("Do truly green pixels become green far more often than truly brown ones?", ["yes", "no"], 1),
    "skips": Choice("Which skip hurts most when it is cut?", ["the finest", "one of the coarser ones", "all alike"], 1),
}  # fmt: skip

QUIZ = [
    Number(
        "A photo of 96 × 96 goes through five halvings. How many pixels wide is it then?", 3, 0,
        "96, 48, 24, 12, 6, 3. A sixth halving would leave 1.5: that is why sizes have to fit.",
    ),
    Choice(
        "Why do blocks nest?",
        ["what comes out has the size of what went in", "because of the batch norm", "because each has its own loss"], 0,
        "Down halves, up doubles: whatever lies between, the size fits again.",
    ),
    Number(
        "How many pixels wide is the receptive field after four layers with kernel 4 and stride 2? (Use `fields`.)",
        46, 0, "4, 10, 22, 46: three jumps more each time, and the jump doubles.",
    ),
    Choice(
        "What does a skip connection carry across?",
        ["the loss", "the input, averaged", "the block's own input, untouched"], 2,
        "`torch.cat([x, y], dim=1)`: the first half of what a block gives is `x` itself.",
    ),
    Choice(
        "Your new network cannot learn four photos by heart. What do you do?",
        ["look for a bug: scaling, gradients, pairs that do not match", "train it for longer, on more photos",
         "add dropout"], 0,
        "A healthy network can. Until it does, a long training only hides the bug.",
    ),
    Number(
        "Four pixels that look the same have b* = −40, 10, 12 and 90. Which b* has the smallest mean absolute error? "
        "(Any value in the middle counts.)", 11, 1,
        "The median: any value from 10 to 12. The mean, 18, costs more.",
    ),
    Choice(
        "Outdoors, your network has an error of 7.6 and grey 9.0. What do you ask next?",
        ["how many parameters it has", "nothing: it is better", "what two colours by height have, and other seeds"], 2,
        "A rival of four numbers may be as good, and one seed may be luck.",
    ),
    Choice(
        "A network has an error of 1 on the photos it was trained with, and 16 on others, where grey has 12. What is that?",
        ["a good network", "learned by heart", "too small a network"], 1,
        "Only photos that it never saw can say whether it has learned colour.",
    ),
]  # fmt: skip


# --- A transposed convolution by hand


def stamp(picture, pattern, stride=2):
    height, width = picture.shape
    side = len(pattern)
    out = torch.zeros(stride * (height - 1) + side, stride * (width - 1) + side)
    for y in range(height):
        for x in range(width):
            top, left = stride * y, stride * x
            out[top : top + side, left : left + side] += picture[y, x] * pattern
    return out


def check_stamp(theirs):
    one = torch.ones(1, 1)
    pattern = torch.arange(16.0).view(4, 4)
    expect_same(theirs(one, pattern), pattern, "One pixel of 1 has to leave the pattern itself.")
    expect_same(
        theirs(2 * one, pattern), 2 * pattern, "A pixel of 2 stamps twice as strongly: multiply by the pixel."
    )
    two = torch.tensor([[1.0, 2.0]])
    expect_same(
        theirs(two, pattern),
        stamp(two, pattern),
        "Two stamps overlap by two columns: add with +=, two pixels on.",
    )
    picture = torch.tensor([[1.0, 2.0, 0.5], [3.0, 4.0, -1.0]])
    right = F.conv_transpose2d(picture[None, None], pattern[None, None], stride=2)[0, 0]
    expect_same(theirs(picture, pattern), right, "Rows are off: y goes down, x goes to the right.")
    right = F.conv_transpose2d(picture[None, None], pattern[None, None], stride=3)[0, 0]
    expect_same(
        theirs(picture, pattern, 3),
        right,
        "With stride 3 the stamps are 3 pixels apart: use `stride`, not 2.",
    )


def stamp__the_last_one_wins(picture, pattern, stride=2):
    out = torch.zeros_like(stamp(picture, pattern, stride))
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            out[stride * y : stride * y + len(pattern), stride * x : stride * x + len(pattern)] = (
                picture[y, x] * pattern
            )
    return out


def stamp__always_one_pixel_on(picture, pattern, stride=2):
    return stamp(picture, pattern, 1)


def stamp__the_pixel_is_forgotten(picture, pattern, stride=2):
    return stamp(torch.ones_like(picture), pattern, stride)


# --- One block


def way_down(channels, inner_channels, outermost, bottom):
    layers = [nn.LeakyReLU(0.2), nn.Conv2d(channels, inner_channels, 4, stride=2, padding=1, bias=False)]
    if outermost:
        layers = layers[1:]
    elif not bottom:
        layers.append(nn.BatchNorm2d(inner_channels))
    return nn.Sequential(*layers)


def way_up(from_below, channels, outermost, dropout):
    layers = [nn.ReLU(), nn.ConvTranspose2d(from_below, channels, 4, stride=2, padding=1, bias=outermost)]
    layers.append(nn.Tanh() if outermost else nn.BatchNorm2d(channels))
    if dropout:
        layers.append(nn.Dropout(0.5))
    return nn.Sequential(*layers)


class UnetBlock(nn.Module):
    """One level: down, whatever lies below, up; the input is joined to the output."""

    def __init__(self, channels, inner_channels, below=None, ends=None, dropout=False):
        super().__init__()
        self.outermost = ends is not None  # ends: the channels of the photo and of its colours
        enter, leave = ends or (channels, channels)
        from_below = inner_channels if below is None else inner_channels * 2  # the skip doubles it
        self.down = way_down(enter, inner_channels, self.outermost, below is None)
        self.below = below or nn.Identity()
        self.up = way_up(from_below, leave, self.outermost, dropout)

    def forward(self, x):
        y = self.up(self.below(self.down(x)))
        return y if self.outermost else torch.cat([x, y], dim=1)


def check_UnetBlock(theirs):
    x = torch.randn(2, 4, 8, 8)
    block = theirs(4, 6).eval()
    from_below = block.up(block.down(x)).detach()
    given = block(x)
    expect_same(
        given,
        torch.cat([x, from_below], dim=1),
        "It has to give [x, y]: first its input x, then what came up.",
    )
    nested = theirs(4, 6, theirs(6, 8)).eval()
    from_below = nested.up(nested.below(nested.down(x))).detach()
    expect_same(
        nested(x),
        torch.cat([x, from_below], dim=1),
        "`self.below` was left out, or it came in the wrong place.",
    )
    top = theirs(4, 6, theirs(6, 8), ends=(1, 2)).eval()
    L = torch.randn(2, 1, 16, 8)
    expect(
        getattr(top(L), "shape", (0, 2))[1] == 2,
        "The outermost block joins nothing: it gives only what came up, a* and b*.",
    )
    colours = top.up(top.below(top.down(L))).detach()
    expect_same(top(L), colours, "The outermost block gives what came up, and nothing else.")


class UnetBlock__twice_itself(UnetBlock):
    def forward(self, x):
        return torch.cat([x, x], dim=1)


class UnetBlock__joined_the_wrong_way(UnetBlock):
    def forward(self, x):
        y = self.up(self.below(self.down(x)))
        return y if self.outermost else torch.cat([y, x], dim=1)


class UnetBlock__nothing_below(UnetBlock):
    def forward(self, x):
        y = self.down(x)
        if not isinstance(self.below, nn.Identity):
            y = torch.cat([y, y], dim=1)
        y = self.up(y)
        return y if self.outermost else torch.cat([x, y], dim=1)


class UnetBlock__always_joined(UnetBlock):
    def forward(self, x):
        return torch.cat([x, self.up(self.below(self.down(x)))], dim=1)


class UnetBlock__added(UnetBlock):
    def forward(self, x):
        y = self.up(self.below(self.down(x)))
        return y if self.outermost else x + y


# --- The receptive field


def fields(levels):
    seen, field, jump = [], 1, 1
    for _ in range(levels):
        field = field + 3 * jump
        jump = 2 * jump
        seen.append(field)
    return seen


def check_fields(theirs):
    given = theirs(3)
    expect_written(given)
    expect(
        isinstance(given, list),
        f"It has to return the list `seen`, a number for each level. This is of the type {type(given).__name__}.",
    )
    expect(len(given) == 3, f"fields(3) has to give three numbers, one for each level; it gave {len(given)}.")
    expect_same(given[0], 4.0, "The first layer's kernel sees 4 pixels: 1 + 3 · 1.")
    expect_same(
        given[1],
        10.0,
        "The second adds 3 jumps of 2 pixels: 4 + 6 = 10. Is the jump doubled after use?",
    )
    right = torch.tensor(fields(8), dtype=torch.float32)
    expect_same(
        torch.tensor(theirs(8), dtype=torch.float32), right, "The first two are right; then the jump is off."
    )


def fields__jump_doubled_too_early(levels):
    seen, field, jump = [], 1, 1
    for _ in range(levels):
        jump = 2 * jump
        field = field + 3 * jump
        seen.append(field)
    return seen


def fields__jump_stays(levels):
    return [1 + 3 * level for level in range(1, levels + 1)]


def fields__the_last_one_only(levels):
    return fields(levels)[-1]


def fields__the_kernel_doubles(levels):
    return [4 * 2**level for level in range(levels)]


# --- One training step


def train_step(network, optimizer, batch):
    loss = F.l1_loss(network(batch["L"]), batch["ab"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def check_train_step(theirs):
    batch = {"L": torch.randn(2, 1, 4, 4), "ab": torch.randn(2, 2, 4, 4)}
    start = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))

    def after(step, times):
        network = copy.deepcopy(start)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        losses = [step(network, optimizer, batch) for _ in range(times)]
        return torch.cat([p.detach().flatten() for p in network.parameters()]), losses, network

    (ours, right, _), (yours, given, network) = after(train_step, 1), after(theirs, 1)
    expect_written(given[0])
    expect(
        network.training and network[1].num_batches_tracked > 0,
        "The network has to learn in training mode: no `eval()` here.",
    )
    expect_same(
        given[0],
        right[0],
        "The loss is the mean absolute difference of the network's output and `batch['ab']`.",
    )
    expect(
        not isinstance(given[0], torch.Tensor),
        "Return a plain number: loss.item(). A tensor keeps the whole graph alive.",
    )
    before = torch.cat([p.detach().flatten() for p in start.parameters()])
    moved = not torch.equal(yours, before)
    expect(
        moved or network[0].weight.grad is not None,
        "The step has no gradient to follow: zero_grad() first, then backward(), and then step().",
    )
    expect(moved, "The weights have not moved: backward(), and then optimizer.step().")
    expect_same(yours, ours, "The weights moved, but not along this gradient.")
    expect_same(
        after(theirs, 3)[0],
        after(train_step, 3)[0],
        "From the second step on it is off: is zero_grad() missing?",
    )


def train_step__gradients_pile_up(network, optimizer, batch):
    loss = F.l1_loss(network(batch["L"]), batch["ab"])
    loss.backward()
    optimizer.step()
    return loss.item()


def train_step__never_stepped(network, optimizer, batch):
    loss = F.l1_loss(network(batch["L"]), batch["ab"])
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


def train_step__squared(network, optimizer, batch):
    loss = F.mse_loss(network(batch["L"]), batch["ab"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def train_step__a_tensor(network, optimizer, batch):
    loss = F.l1_loss(network(batch["L"]), batch["ab"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# --- The loop around it


def learn(network, loader, epochs, rate=5e-4, watch=None):
    """Train with L1; gives the mean error of each epoch.  After each, `watch` is shown the network."""
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * len(loader))
    errors = []
    for epoch in range(epochs):
        network.train()
        loader.loader.sampler.set_epoch(epoch)  # a new order and new crops
        losses = []
        for batch in loader:
            losses.append(train_step(network, optimizer, batch))
            schedule.step()
        errors.append(110 * sum(losses) / len(losses))
        if watch:
            watch(network)
    return errors


def check_learn(theirs):
    # each of its own brightness
    batches = FewBatches(
        {"L": i + torch.randn(4, 1, 2, 2), "ab": i * torch.randn(4, 2, 2, 2)} for i in range(3)
    )
    start = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))

    def after(function):
        network = copy.deepcopy(start)
        errors = function(network, batches, 4, 0.1)
        return errors, torch.cat([p.detach().flatten() for p in network.parameters()]), network

    (ours, right, trained), (errors, weights, network) = after(learn), after(theirs)
    expect_written(errors)
    seen = network[1].num_batches_tracked.item()
    expect(
        seen == trained[1].num_batches_tracked,
        f"In 4 epochs of 3 batches it took {seen} steps; 12 were expected.",
    )
    expect_not(
        weights,
        after(learn__the_rate_stays)[1],
        "The learning rate does not change: schedule.step() after each batch.",
    )
    expect_not(
        weights,
        after(learn__once_an_epoch)[1],
        "The learning rate moves once an epoch: schedule.step() belongs into the loop, after each batch.",
    )
    expect_same(weights, right, "The weights come out otherwise: first train_step, then schedule.step().")
    expect_same(
        torch.tensor(errors),
        torch.tensor(ours),
        "The errors are off: `losses` needs the loss of every batch.",
        1e-2,
    )


def _learn(network, loader, epochs, rate, each_batch, each_epoch):
    optimizer = torch.optim.Adam(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * len(loader))
    errors = []
    for _ in range(epochs):
        network.train()
        losses = []
        for batch in loader:
            losses.append(train_step(network, optimizer, batch))
            each_batch(schedule)
        each_epoch(schedule)
        errors.append(110 * sum(losses) / len(losses))
    return errors


def stays(schedule):
    pass


def moves(schedule):
    schedule.step()


def learn__the_rate_stays(network, loader, epochs, rate=5e-4, watch=None):
    return _learn(network, loader, epochs, rate, stays, stays)


def learn__once_an_epoch(network, loader, epochs, rate=5e-4, watch=None):
    return _learn(network, loader, epochs, rate, stays, moves)


# --- Cut a skip


def cut_skip(block, inputs, output):
    (x,) = inputs
    count = x.shape[1]
    return torch.cat([torch.zeros_like(x), output[:, count:]], dim=1)


def check_cut_skip(theirs):
    x, y = torch.randn(2, 2, 4, 5, 6)  # a block joins as many channels as it was given
    given = theirs(None, (x,), torch.cat([x, y], dim=1))
    expect_same(
        given,
        torch.cat([0 * x, y], dim=1),
        "The first channels, as many as x has, must be 0; the others stay.",
    )


def cut_skip__the_wrong_half(block, inputs, output):
    return torch.cat([inputs[0], torch.zeros_like(output[:, inputs[0].shape[1] :])], dim=1)


def cut_skip__channels_are_gone(block, inputs, output):
    return output[:, inputs[0].shape[1] :]


def cut_skip__in_place(block, inputs, output):
    output[:, : inputs[0].shape[1]] = 0
    return output


# --- Exercises


def any_size(network, L, multiple):
    height, width = L.shape[-2:]
    padding = (0, -width % multiple, 0, -height % multiple)  # left, right, above, below
    return network(F.pad(L, padding, mode="replicate"))[..., :height, :width]


def check_any_size(theirs):
    given = []

    def network(L):
        given.append(L)
        return torch.cat([L, -L], dim=1)

    L = torch.arange(1.0, 36.0).view(1, 1, 5, 7)
    coloured = theirs(network, L, 4)
    expect_same(
        coloured,
        torch.cat([L, -L], dim=1),
        "What comes back must have the size that went in: cut right and below.",
    )
    expect(
        given and given[0].shape[-2:] == (8, 8),
        "The network must be given 8 × 8 here: the next multiples of 4.",
    )
    expect(
        given[0][0, 0, 0, 7] == 7 and given[0][0, 0, 7, 0] == 29,
        "Repeat the edge pixels on the right and below.",
    )
    given.clear()
    theirs(network, L[..., :4, :4], 4)
    expect(given[0].shape[-2:] == (4, 4), "A size that fits must stay as it is: no padding at all.")


def any_size__with_zeros(network, L, multiple):
    height, width = L.shape[-2:]
    return network(F.pad(L, (0, -width % multiple, 0, -height % multiple)))[..., :height, :width]


def any_size__one_block_too_many(network, L, multiple):
    height, width = L.shape[-2:]
    padding = (0, multiple - width % multiple, 0, multiple - height % multiple)
    return network(F.pad(L, padding, mode="replicate"))[..., :height, :width]


def any_size__stretched(network, L, multiple):
    return F.interpolate(network(F.interpolate(L, size=(8, 8))), size=L.shape[-2:])
