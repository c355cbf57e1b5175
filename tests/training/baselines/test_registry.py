"""Every baseline through the registry: its size against its authority's, its answer, its gradients."""

import pytest
import torch

from training.nets import NETS, Opinions

SAMPLES, SNIPPETS, FRAMES, SIDE, CHUNK, MFCC, CLASSES = 2, 4, 8, 112, 256, 32, 5
BASELINES = [name for name in NETS if name not in ("avcanet", "video_branch", "audio_branch")]
TWO_BRANCH = ["vaanet", "ogm_ge", "msaf", "mmcosine", "resnet3d50_resnet34", "convnext_cspdarknet53"]
SPLIT_OPINIONS = ["ogm_ge", "msaf", "mmcosine", "resnet3d50_resnet34", "convnext_cspdarknet53", "fusion_net"]

# Parameters as the authority counts them: (network, options, millions, where the number is from). All within 1 % but those explained.
PUBLISHED = [
    ("resnet34_audio", {}, 21.3, "torchvision resnet34 without its classifier"),
    ("cnn14", {"num_classes": 527, "num_coefficients": 64}, 80.753615, "the authors' count"),
    ("ecapa_tdnn", {"num_coefficients": 80}, 6.2, "the paper's table, C = 512"),
    ("res2net", {"num_coefficients": 80}, 5.6, "AudioClassification-Pytorch"),
    ("campplus", {"num_coefficients": 80}, 7.2, "3D-Speaker"),
    ("video_swin_t", {"num_classes": 400}, 28.158070, "torchvision swin3d_t"),
    ("i3d", {"num_classes": 6}, 12.3, "pytorch-i3d without its logits"),
    ("slowfast_r50", {"num_classes": 400}, 34.57, "pytorchvideo slowfast_r50"),
    ("cten", {"num_classes": 8}, 135.3, "the released code"),
    ("former_dfer", {"num_classes": 7}, 18.0, "the released code"),
    ("timesformer", {"num_classes": 400, "image_size": 224}, 121.3, "the authors' count"),
    ("dfer_clip", {"num_classes": 7}, 153.4, "CLIP ViT-B/32 151.3 and one temporal layer 2.1"),
    ("c3d", {"num_classes": 6}, 78.0, "the released network, six classes"),
    ("vaanet", {"num_classes": 8}, 97.9, "the released code"),
    ("ogm_ge", {}, 22.4, "two ResNet18s"),
    ("msaf", {"num_classes": 8}, 25.9, "the released code"),
    ("mmcosine", {}, 22.4, "two ResNet18s"),
    ("resnet3d50_resnet34", {}, 46.2 + 21.3 + 2.56 * 0.512, "both backbones, and the projections to 512 channels"),
    ("convnext_cspdarknet53", {}, 27.8 + 26.6 + 1.792 * 0.512, "both backbones, and the projections to 512 channels"),
    ("fusion_net", {"fusion": "lgf"}, 69.237568, "AV-CANet"),
    ("fusion_net", {"fusion": "hicmae"}, 49.8 + 16.8, "Vanilla and HiCMAE's fusion at depth 2"),
    ("fusion_net", {"fusion": "lgi_former"}, 49.8 + 2 * 5.26, "Vanilla and two LGBlocks"),
]


def clip_batch(snippets: int = SNIPPETS) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(7)
    video = torch.randn(SAMPLES, snippets, 3, FRAMES, SIDE, SIDE, generator=draw)
    return video, torch.randn(SAMPLES, snippets, 1, CHUNK, MFCC, generator=draw)


def small(name: str, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    if name in (*TWO_BRANCH, "cten", "fusion_net"):
        options = {"num_snippets": SNIPPETS, **options}
    return NETS[name](num_classes=CLASSES, small=True, **options)


@pytest.mark.parametrize(("name", "options", "millions", "source"), PUBLISHED)
def test_a_network_is_as_large_as_its_authority_says(name, options, millions, source):
    with torch.device("meta"):
        net = NETS[name](**options)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, rel=0.01), source


def test_every_baseline_has_its_size_checked():
    assert {name for name, *_ in PUBLISHED} == set(BASELINES)


@pytest.mark.parametrize("name", ["vaanet", "cten"])
def test_the_frozen_backbone_is_the_3d_resnet101(name):
    with torch.device("meta"):
        net = NETS[name]()
    assert sum(p.numel() for p in net.parameters() if not p.requires_grad) == 85_245_120


@pytest.mark.parametrize("name", BASELINES)
def test_a_batch_goes_through_and_every_trained_parameter_learns(name):
    net = small(name)
    opinions = net(*clip_batch())
    assert isinstance(opinions, Opinions)
    assert opinions.logits.shape == (SAMPLES, CLASSES)
    assert opinions.embedding_BC.shape[0] == SAMPLES
    opinions.logits.square().sum().backward()
    without = [key for key, p in net.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", BASELINES)
def test_scoring_is_deterministic_and_reads_only_what_it_says(name):
    net = small(name).eval()
    video, audio = clip_batch()
    with torch.no_grad():
        first = net(video[:1], audio[:1]).logits
        given = (video[:1] if "video" in net.uses else None, audio[:1] if "audio" in net.uses else None)
        assert torch.equal(first, net(*given).logits)
        for position, kind in enumerate(("video", "audio")):
            if kind in net.uses:
                changed = [video[:1], audio[:1]]
                changed[position] = changed[position].flip(1) + 1
                assert not torch.equal(first, net(*changed).logits), f"{kind} is said to be used but changes nothing"


@pytest.mark.parametrize("name", SPLIT_OPINIONS)
def test_the_two_opinions_add_up_to_the_whole(name):
    net = small(name).eval()
    with torch.no_grad():
        opinions = net(*clip_batch())
    assert torch.allclose(opinions.logits, opinions.video_logits + opinions.audio_logits, atol=1e-4)


@pytest.mark.parametrize("name", TWO_BRANCH)
def test_lgf_can_replace_the_fusion_of_an_audio_visual_baseline(name):
    net = small(name, fusion="lgf")
    opinions = net(*clip_batch())
    opinions.logits.square().sum().backward()
    assert opinions.video_logits.shape == opinions.audio_logits.shape == (SAMPLES, CLASSES)
    assert any(key.startswith("head.module.lisf") and p.grad is not None and p.grad.abs().sum() > 0 for key, p in net.named_parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_a_network_of_full_size_answers_one_clip(name):
    net = NETS[name](num_classes=6).eval()
    video, audio = clip_batch(snippets=16)
    with torch.inference_mode():
        logits = net(video[:1], audio[:1]).logits
    assert logits.shape == (1, 6)
    assert torch.isfinite(logits).all()
