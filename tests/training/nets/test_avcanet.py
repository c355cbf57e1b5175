"""AV-CANet as a whole: its parameters row by row, its opinions, its gradients, and that it can learn."""

import pytest
import torch
from torch.nn import functional

from training.engine.recipes import RECIPES
from training.engine.recipes.avcanet import DEBUG_NET
from training.nets import NETS
from training.nets.avcanet import FUSIONS, AVCANet

DEBUG = RECIPES["debug"]()
NUM_CLIPS = 3


def debug_inputs(seed=0):
    generator = torch.Generator().manual_seed(seed)
    video = torch.randn(NUM_CLIPS, DEBUG.snippets, 3, DEBUG.frames, DEBUG.crop, DEBUG.crop, generator=generator)
    return video, torch.randn(NUM_CLIPS, DEBUG.snippets, 1, DEBUG.chunk_frames, 32, generator=generator)


def debug_net(**options):
    torch.manual_seed(2)
    return AVCANet(**{**DEBUG_NET, **options})


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_parameters_are_those_of_every_row_of_the_specification():
    with torch.device("meta"):
        net = AVCANet(num_classes=6)
    video, audio = net.video_branch, net.audio_branch
    assert count(video.backbone) == 27_850_470
    assert count(video.project) == 393_728
    assert count(audio.backbone) == 21_275_712
    assert count(audio.project, audio.norm) == 263_680
    assert [count(level) for level in net.lisf.pyramid] == [8_935_424, 8_935_424]
    assert count(net.lisf.select) == 1_044
    assert count(net.glcf) == 1_575_936
    assert count(net.classifier) == 6_150
    assert count(net) == 69_237_568


@pytest.mark.parametrize(("levels", "expected"), [(1, 8_935_424), (2, 17_870_848), (3, 26_806_272), (4, 35_741_696)])
def test_lisf_grows_by_the_pyramid_level(levels, expected):
    with torch.device("meta"):
        assert count(AVCANet(levels=levels).lisf.pyramid) == expected


def test_fusion_strategies_have_the_parameters_of_the_specification_beside_their_branch_heads():
    heads = 2 * (512 * 6 + 6)
    expected = {"mid_concat": 6_150, "sum": 6_156, "multiply": 3_078 + heads, "gated": 528_390 + heads, "neural": 527_878 + heads}
    expected["gated_by_video"] = expected["gated"]
    assert {name: count(kind(512, 6)) for name, kind in FUSIONS.items()} == expected


def test_the_branches_opinions_add_up_to_the_networks():
    opinions = debug_net().eval()(*debug_inputs())
    torch.testing.assert_close(opinions.video_logits + opinions.audio_logits, opinions.logits)


def test_either_modality_can_gate_the_other():
    torch.manual_seed(0)
    by_sound, by_picture = FUSIONS["gated"](8, 6).eval(), FUSIONS["gated_by_video"](8, 6).eval()
    by_picture.load_state_dict(by_sound.state_dict())
    video, audio = torch.randn(3, 8), torch.randn(3, 8)
    gated = by_picture.gate(video).sigmoid() * by_picture.value(audio)
    torch.testing.assert_close(by_picture(video, audio).logits, by_picture.linear(gated))
    torch.testing.assert_close(by_picture(video, audio).video_logits, by_sound(video, audio).video_logits)
    assert not torch.allclose(by_picture(video, audio).logits, by_sound(video, audio).logits)


@pytest.mark.parametrize("fusion", sorted(FUSIONS))
@pytest.mark.parametrize(("local", "global_"), [(True, True), (False, False), (True, False), (False, True)])
def test_every_fusion_and_ablation_gives_three_opinions_and_a_gradient_to_every_parameter(fusion, local, global_):
    net = debug_net(fusion=fusion, local=local, global_=global_, num_classes=5).train()
    opinions = net(*debug_inputs())
    assert opinions.logits.shape == opinions.video_logits.shape == opinions.audio_logits.shape == (NUM_CLIPS, 5)
    (opinions.logits + opinions.video_logits + opinions.audio_logits).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None] == []


def test_the_fused_opinion_alone_reaches_both_backbones():
    net = debug_net()
    functional.cross_entropy(net(*debug_inputs()).logits, torch.tensor([0, 5, 2])).backward()
    assert net.video_branch.backbone.patch_embed.proj.weight.grad.abs().max() > 0
    assert net.audio_branch.backbone.conv1.weight.grad.abs().max() > 0


def test_one_batch_is_learnt_by_heart():
    net = debug_net(dropout=0.0).train()
    net.video_branch.dropout.p = 0.0
    video, audio = debug_inputs()
    target = torch.tensor([1, 4, 2])
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)
    for _ in range(12):
        loss = functional.cross_entropy(net(video, audio).logits, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="colour"):
        AVCANet(colour="red", **DEBUG_NET)
    with pytest.raises(ValueError, match="mid_concat"):
        debug_net(fusion="late")


@pytest.mark.parametrize("name", ["video_branch", "audio_branch"])
def test_a_branch_alone_ignores_the_other_input(name):
    own = "video" if name.startswith("video") else "audio"
    net = NETS[name](num_classes=6, width=DEBUG_NET["width"], **DEBUG_NET[own]).eval()
    video, audio = debug_inputs()
    given = (video, None) if own == "video" else (None, audio)
    opinions = net(*given)
    assert torch.equal(opinions.logits, net(video, audio).logits)
    assert opinions.video_logits is None
    assert opinions.audio_logits is None


@pytest.mark.slow
def test_the_full_size_answers_the_contract_shapes():
    torch.manual_seed(1)
    net = NETS["avcanet"](num_classes=6).eval()
    with torch.inference_mode():
        opinions = net(torch.randn(1, 16, 3, 8, 112, 112), torch.randn(1, 16, 1, 256, 32))
    assert opinions.logits.shape == (1, 6)
    assert opinions.embedding_BC.shape == (1, 1024)
