"""The backbones, against counts of the paper's models and computations written another way."""

from itertools import product

import pytest
import torch

from training.nets.backbones import AudioResNet, VideoSwinT, WindowAttention, bias_index, clipped_window, shift_mask

FULL = (8, 7, 7)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_swin_t_has_the_parameters_of_swin_t():
    assert count(VideoSwinT()) == 27_850_470


def test_audio_resnet34_has_the_parameters_of_its_specification():
    assert count(AudioResNet()) == 21_275_712


@pytest.mark.parametrize("depth", [50, 101])
def test_an_unknown_depth_is_refused_with_the_known_ones(depth):
    with pytest.raises(ValueError, match=r"18, 34"):
        AudioResNet(depth=depth)


@pytest.mark.parametrize("option", [{"embed_dim": 10}, {"window": (4, 4)}])
def test_sizes_that_do_not_divide_are_refused(option):
    with pytest.raises(ValueError, match="window needs three sizes"):
        VideoSwinT(**option)


@pytest.mark.parametrize("window", [(4, 7, 7), (4, 4, 4), (2, 3, 5), FULL])
def test_bias_is_looked_up_by_the_distance_in_time_height_and_width(window):
    index = bias_index(window, FULL)
    places = list(product(*(range(size) for size in window)))
    for (row, a), (column, b) in product(list(enumerate(places))[::5], list(enumerate(places))[::7]):
        dt, dh, dw = (a[i] - b[i] + FULL[i] - 1 for i in range(3))
        assert index[row, column] == (dt * 13 + dh) * 13 + dw


def test_legacy_slice_agrees_only_while_height_and_width_are_whole():
    assert torch.equal(bias_index((4, 7, 7), FULL, legacy_slice=True), bias_index((4, 7, 7), FULL))
    same = bias_index((4, 4, 4), FULL, legacy_slice=True) == bias_index((4, 4, 4), FULL)
    assert 0.03 < same.double().mean() < 0.07  # 5 % in the last stage at 112 pixels


@pytest.mark.parametrize("size", [32, 56, 72])  # one window a map; several, shifted; several, padded
def test_the_fused_kernel_answers_and_learns_as_the_steps_do(size):
    torch.manual_seed(3)
    net = VideoSwinT(embed_dim=8, depths=(2, 2), num_heads=(2, 4), window=(2, 4, 4), drop_path=0.0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    video = torch.randn(2, 3, 8, size, size)
    answers = []
    for fused in (None, False, True):
        for module in net.modules():
            if isinstance(module, WindowAttention):
                module.fused = fused
        net.zero_grad()
        tokens = net(video)
        tokens.square().mean().backward()
        answers.append([tokens.detach(), *(parameter.grad.clone() for parameter in net.parameters())])
    for other in answers[1:]:
        for mine, theirs in zip(answers[0], other, strict=True):
            torch.testing.assert_close(theirs, mine, rtol=1e-3, atol=1e-5)


def test_a_window_is_clipped_to_the_map_and_then_not_shifted():
    assert clipped_window((4, 14, 7), FULL) == ((4, 7, 7), (0, 3, 0))


def test_shifted_windows_keep_apart_what_only_rolling_brought_together():
    sizes, window, shift = (2, 6, 4), (2, 3, 4), (0, 1, 0)
    mask = shift_mask(sizes, window, shift, torch.device("cpu"))
    # After rolling by one, the last window along the height holds rows 4, 5 and the row 0 that came round.
    rows = torch.tensor([h for _t, h, _w in product(range(2), (4, 5, 0), range(4))])
    expected = ((rows[:, None] == 0) != (rows[None, :] == 0)).float() * -100
    assert torch.equal(mask[0], torch.zeros(24, 24))
    assert torch.equal(mask[1], expected)


def test_maps_that_are_no_multiple_of_the_window_are_padded():
    swin = VideoSwinT(embed_dim=8, depths=(2, 1), num_heads=(2, 2), window=(2, 3, 3))
    assert swin(torch.randn(2, 3, 5, 34, 43)).shape == (2, 3, 5, 6, 16)


def test_recomputing_activations_gives_the_same_gradient():
    torch.manual_seed(4)
    swin = VideoSwinT(embed_dim=8, depths=(2, 1), num_heads=(2, 2), window=(2, 4, 4), drop_path=0.0)
    video = torch.randn(2, 3, 4, 32, 32)
    gradients = []
    for recompute in (False, True):
        swin.checkpoint_gradients(recompute)
        swin.zero_grad()
        swin(video).square().sum().backward()
        gradients.append([p.grad.clone() for p in swin.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_audio_maps_shrink_as_the_specification_says():
    net = AudioResNet(width=4)
    shapes = []
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        stage.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[2:])))
    assert net(torch.randn(3, 1, 256, 32)).shape == (3, 32)
    assert shapes == [(64, 16), (32, 8), (16, 4), (8, 2)]
