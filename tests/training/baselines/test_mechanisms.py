"""What makes each baseline itself: its mechanism against a hand calculation or a library."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from training.nets import NETS, Opinions
from training.nets.cten import key_snippets
from training.nets.ecapa_tdnn import Res2Conv
from training.nets.fusion_modules import FUSION_MODULES
from training.nets.i3d import SamePool, same_pad
from training.nets.inputs import audio_sequence, fold, middle_frames, unfold
from training.nets.mmcosine import SCALE, CosineSum
from training.nets.modulation import discrepancy, modulate
from training.nets.msaf import SplitAttention
from training.nets.pooling import AttentiveStatistics
from training.nets.resnet2d import ResNet2d


def test_the_sound_is_put_back_in_its_order():
    sequence = torch.arange(2 * 3 * 5 * 4).float().reshape(2, 15, 4)
    audio = sequence.reshape(2, 3, 1, 5, 4)
    assert torch.equal(audio_sequence(audio), sequence)


def test_folding_and_unfolding_keep_samples_apart():
    x = torch.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert torch.equal(unfold(fold(x), 2), x)


def test_the_middle_frame_is_the_middle_one():
    video = torch.zeros(2, 3, 3, 8, 4, 4)
    video[:, :, :, 4] = 1
    assert middle_frames(video).min() == 1


def test_resnet2d_equals_the_librarys_resnet18():
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    config = ResNetConfig(layer_type="basic", depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 32, 64], embedding_size=8)
    theirs, ours = ResNetModel(config).eval(), ResNet2d((1, 1, 1, 1), width=8).eval()
    # Both register their tensors in reading order, except that a shortcut stands first there and last here.
    state = theirs.state_dict()
    own = ours.state_dict()
    for key in own:
        own[key] = state[library_name(key)]
    ours.load_state_dict(own)
    pictures = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(ours(pictures), theirs(pictures).pooler_output.flatten(1), atol=1e-5)


def library_name(key: str) -> str:
    """Our name of a ResNet tensor as transformers writes it."""
    parts = key.split(".")
    if parts[0] in ("conv1", "bn1"):
        return f"embedder.embedder.{'convolution' if parts[0] == 'conv1' else 'normalization'}.{parts[1]}"
    stage, block, layer, *rest = int(parts[0][5:]) - 1, parts[1], parts[2], *parts[3:]
    prefix = f"encoder.stages.{stage}.layers.{block}"
    if layer == "downsample":
        return f"{prefix}.shortcut.{'convolution' if rest[0] == '0' else 'normalization'}.{rest[1]}"
    return f"{prefix}.layer.{int(layer[-1]) - 1}.{'convolution' if layer.startswith('conv') else 'normalization'}.{rest[0]}"


@pytest.mark.parametrize(("size", "kernel", "stride", "places"), [(7, 2, 2, 4), (14, 3, 2, 7), (8, 7, 2, 4), (5, 3, 1, 5)])
def test_same_padding_gives_the_rounded_up_size(size, kernel, stride, places):
    x = torch.zeros(1, 1, size, size, size)
    assert same_pad(x, (kernel,) * 3, (stride,) * 3).unfold(2, kernel, stride).shape[2] == places
    assert SamePool((kernel,) * 3, (stride,) * 3)(x).shape[2:] == (places,) * 3


def test_res2_parts_see_the_parts_before_them():
    torch.manual_seed(0)
    net = Res2Conv(16, dilation=2).eval()
    x = torch.randn(1, 16, 9)
    changed = x.clone()
    changed[:, :2] += 1  # the first of eight parts
    moved = (net(changed) - net(x)).abs().amax(dim=(0, 2)).reshape(8, 2).amax(dim=1)
    assert (moved[:7] > 0).all()  # it reaches every part of the chain
    assert moved[7] == 0  # but not the last, which passes unchanged


def test_even_attention_gives_plain_mean_and_deviation():
    pool = AttentiveStatistics(4)
    nn.init.zeros_(pool.linear2.weight)
    x = torch.randn(3, 4, 11)
    expected = torch.cat([x.mean(dim=2), x.std(dim=2, unbiased=False)], dim=1)
    assert torch.allclose(pool(x), expected, atol=1e-5)


def test_the_logit_of_mmcosine_is_a_sum_of_two_cosines():
    torch.manual_seed(0)
    head = CosineSum(7, 5)
    video, audio = torch.randn(3, 7), 100 * torch.randn(3, 7)
    logits = head(video, audio).logits.detach()
    by_hand = SCALE * (cosine_similarity(video[1], head.video_weight[4], dim=0) + cosine_similarity(audio[1], head.audio_weight[4], dim=0))
    assert logits[1, 4] == pytest.approx(by_hand.item(), abs=1e-4)
    assert logits.abs().max() <= 2 * SCALE


def test_the_modality_that_is_ahead_learns_more_slowly():
    right = torch.tensor([0, 1])
    sure, unsure = torch.tensor([[9.0, 0.0], [0.0, 9.0]]), torch.zeros(2, 2)
    ratio = discrepancy(Opinions(sure, video_logits=sure, audio_logits=unsure), right)
    assert ratio == pytest.approx(2.0, abs=1e-3)  # almost 1 against 1/2
    branch = nn.Conv2d(2, 3, 3)
    for parameter in branch.parameters():
        parameter.grad = torch.ones_like(parameter)  # of no deviation, so that there is no noise either
    modulate(branch, ratio, alpha=0.5)
    assert branch.weight.grad.mean() == pytest.approx(1 - math.tanh(0.5 * ratio), abs=1e-5)
    assert branch.bias.grad.mean() == 1  # convolutions' weights only


def test_the_modality_that_is_behind_keeps_its_gradient_but_for_noise():
    branch = nn.Conv2d(8, 8, 3)
    branch.weight.grad = torch.randn(branch.weight.shape, generator=torch.Generator().manual_seed(1))
    before = branch.weight.grad.clone()
    modulate(branch, 0.5, alpha=0.8, generator=torch.Generator().manual_seed(2))
    noise = branch.weight.grad - before
    assert noise.std() == pytest.approx(float(before.std()), rel=0.1)


def test_modulation_refuses_a_network_of_one_branch():
    with pytest.raises(ValueError, match="both branches"):
        discrepancy(Opinions(torch.zeros(2, 3)), torch.zeros(2, dtype=torch.long))


def test_ogm_ge_changes_its_gradients_after_the_backward_pass():
    torch.manual_seed(0)
    net = NETS["ogm_ge"](num_classes=3, small=True, num_snippets=2)
    opinions = net(torch.randn(2, 2, 3, 4, 64, 64), torch.randn(2, 2, 1, 64, 32))
    target = torch.tensor([0, 2])
    nn.functional.cross_entropy(opinions.logits, target).backward()
    before = net.visual_net.conv1.weight.grad.clone()
    net.after_backward(opinions, target)
    assert not torch.equal(before, net.visual_net.conv1.weight.grad)


def test_split_attention_shares_one_budget_over_all_groups():
    net = SplitAttention((8, 4), group=4).eval()
    with torch.no_grad():
        video, audio = net(torch.ones(3, 8, 2, 2, 2), torch.ones(3, 4, 5))
    total = video[:, :4, 0, 0, 0] + video[:, 4:, 0, 0, 0] + audio[:, :, 0]
    assert torch.allclose(total, torch.ones(3, 4), atol=1e-5)  # softmax over the three groups, for each channel


def test_key_snippets_are_those_in_the_upper_part_of_the_range():
    weights = torch.tensor([[0.0, 0.5, 1.0, 0.71], [2.0, 2.0, 2.0, 2.0]])
    assert key_snippets(weights).tolist() == [[False, False, True, True], [False] * 4]


def test_cten_erases_only_while_training():
    torch.manual_seed(0)
    net = NETS["cten"](num_classes=3, small=True, num_snippets=4, sound=False)
    video = torch.randn(2, 4, 3, 8, 64, 64)
    assert net(video).video_logits is not None
    assert net.eval()(video).video_logits is None
    assert not net.train().resnet.training  # the frozen backbone stays as it was trained


def test_a_whole_description_and_learnt_context_reach_dfer_clip():
    torch.manual_seed(0)
    net = NETS["dfer_clip"](num_classes=6, small=True).eval()
    directions = net.encode_text()
    assert torch.allclose(directions.norm(dim=1), torch.ones(6), atol=1e-5)
    assert (directions[0] - directions[1]).abs().max() > 1e-4
    directions.sum().backward()
    assert net.context.grad.abs().sum() > 0


def test_dfer_clips_prompts_read_as_clips_own_text_model_reads_them():
    torch.manual_seed(0)
    net = NETS["dfer_clip"](num_classes=6, small=True).eval()
    with torch.no_grad():
        net.context.copy_(net.clip.text_model.embeddings.token_embedding(net.ids_KL[:, 1:9]))  # as if nothing were learnt
        ours = net.encode_text()
        theirs = net.clip.get_text_features(input_ids=net.ids_KL)
        theirs = getattr(theirs, "pooler_output", theirs)
    assert torch.allclose(ours, nn.functional.normalize(theirs, dim=1), atol=1e-4)


@pytest.mark.parametrize("name", FUSION_MODULES)
def test_a_fusion_module_gives_one_vector_of_each_modality(name):
    torch.manual_seed(0)
    module = FUSION_MODULES[name](24, num_snippets=6).eval()
    video, audio = torch.randn(2, 6, 24, requires_grad=True), torch.randn(2, 6, 24, requires_grad=True)
    fused_video, fused_audio = module(video, audio)
    assert fused_video.shape == fused_audio.shape == (2, 24)
    (from_audio,) = torch.autograd.grad(fused_video.sum(), audio, allow_unused=True)
    crossed = from_audio is not None and bool(from_audio.abs().sum() > 0)
    assert crossed == (name != "vanilla")  # all but Vanilla let sound into the picture's vector


def test_an_unknown_fusion_module_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'lfg'.*lgi_former"):
        NETS["fusion_net"](small=True, fusion="lfg")
