"""Published weights find their places: by the libraries' own networks where they are installed, else by the key names that the authors' files have."""

import pytest
import torch
from safetensors.torch import load_file

from training.engine import published
from training.engine.checkpoints import classifier_keys, load_own
from training.engine.recipes import RECIPES
from training.nets import NETS

BOTTLENECK = ("conv1", "conv2", "conv3", "bn1", "bn2", "bn3")


def norm(prefix):
    return [f"{prefix}.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var")]


def resnet3d_keys(depths):
    """As kenshohara's files have them, a DataParallel's prefix included."""
    keys = ["conv1.weight", *norm("bn1"), "fc.weight", "fc.bias"]
    for stage, depth in enumerate(depths, 1):
        for block in range(depth):
            for part in BOTTLENECK:
                keys += [f"layer{stage}.{block}.{part}.weight"] if part.startswith("conv") else norm(f"layer{stage}.{block}.{part}")
        keys += [f"layer{stage}.0.downsample.0.weight", *norm(f"layer{stage}.0.downsample.1")]
    return [f"module.{key}" for key in keys]


def i3d_keys():
    units = ["Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"]
    units += [
        f"Mixed_{m}.{b}" for m in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c") for b in ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
    ]
    return ["logits.conv3d.weight", "logits.conv3d.bias", *(key for u in units for key in (f"{u}.conv3d.weight", *norm(f"{u}.bn")))]


def slowfast_keys():
    keys = ["blocks.6.proj.weight", "blocks.6.proj.bias"]
    for path in (0, 1):
        keys += [f"blocks.0.multipathway_blocks.{path}.conv.weight", *norm(f"blocks.0.multipathway_blocks.{path}.norm")]
        for stage, depth in enumerate((3, 4, 6, 3), 1):
            for block in range(depth):
                here = f"blocks.{stage}.multipathway_blocks.{path}.res_blocks.{block}"
                for part in "abc":
                    keys += [f"{here}.branch2.conv_{part}.weight", *norm(f"{here}.branch2.norm_{part}")]
            first = f"blocks.{stage}.multipathway_blocks.{path}.res_blocks.0"
            keys += [f"{first}.branch1_conv.weight", *norm(f"{first}.branch1_norm")]
    for stage in range(4):
        keys += [f"blocks.{stage}.multipathway_fusion.conv_fast_to_slow.weight", *norm(f"blocks.{stage}.multipathway_fusion.norm")]
    return keys


def c3d_keys():
    names = ["conv1a", "conv2a", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b"]
    return [f"{name}.conv.{leaf}" for name in names for leaf in ("weight", "bias")] + [
        f"fc{n}.{leaf}" for n in (6, 7) for leaf in ("weight", "bias")
    ]


def cnn14_keys():
    keys = [
        "spectrogram_extractor.stft.conv_real.weight",
        "logmel_extractor.melW",
        *norm("bn0"),
        "fc1.weight",
        "fc1.bias",
        "fc_audioset.weight",
    ]
    for n in range(1, 7):
        keys += [f"conv_block{n}.conv{i}.weight" for i in (1, 2)] + [key for i in (1, 2) for key in norm(f"conv_block{n}.bn{i}")]
    return keys


def former_dfer_keys():
    def layer(prefix):
        inside = ["0.fn.norm.weight", "0.fn.norm.bias", "0.fn.fn.to_qkv.weight", "0.fn.fn.to_out.0.weight", "0.fn.fn.to_out.0.bias"]
        inside += ["1.fn.norm.weight", "1.fn.norm.bias", *(f"1.fn.fn.net.{n}.{leaf}" for n in (0, 3) for leaf in ("weight", "bias"))]
        return [f"{prefix}.{key}" for key in inside]

    keys = ["s_former.conv1.weight", *norm("s_former.bn1"), "s_former.pos_embedding", *layer("s_former.spatial_transformer.layers.0")]
    for stage in range(1, 5):
        for block in (0, 1):
            for i in (1, 2):
                keys += [f"s_former.layer{stage}.{block}.conv{i}.weight", *norm(f"s_former.layer{stage}.{block}.bn{i}")]
        if stage > 1:
            keys += [f"s_former.layer{stage}.0.downsample.0.weight", *norm(f"s_former.layer{stage}.0.downsample.1")]
    keys += [
        "t_former.cls_token",
        "t_former.pos_embedding",
        *(key for n in range(3) for key in layer(f"t_former.spatial_transformer.layers.{n}")),
    ]
    return [f"module.{key}" for key in (*keys, "fc.weight", "fc.bias")]


# name → (the file's keys, what of our network the file must fill)
FILES = {
    "resnet3d50_resnet34": (resnet3d_keys((3, 4, 6, 3)), "visual."),
    "vaanet": (resnet3d_keys((3, 4, 23, 3)), "resnet."),
    "cten": (resnet3d_keys((3, 4, 23, 3)), "resnet."),
    "msaf": (resnet3d_keys((3, 4, 6, 3)), "resnext."),
    "i3d": (i3d_keys(), ("stem.", "mixed.")),
    "slowfast_r50": (slowfast_keys(), ("slow", "fast", "laterals.")),
    "c3d": (c3d_keys(), ("convolutions.", "fc6.", "fc7.")),
    "cnn14": (cnn14_keys(), ("conv_block", "bn0.", "fc1.")),
    "former_dfer": (former_dfer_keys(), ("resnet.", "spatial.", "temporal.", "pos_embedding")),
}


@pytest.mark.parametrize("name", FILES)
def test_every_key_of_the_authors_file_fills_one_of_ours(name):
    keys, filled = FILES[name]
    with torch.device("meta"):
        net = NETS[name](**({"num_coefficients": 64} if name == "cnn14" else {}))
    own = net.state_dict()
    rules, dropped = published.PUBLISHED[name].rules, published.PUBLISHED[name].dropped
    ours = {}
    for key in keys:
        key = key.removeprefix("module.")
        place = published.renamed(key, rules)
        if place in own:
            ours[key] = own[place]
    state = published.converted(name, {**{k: torch.empty(0) for k in keys if k.removeprefix("module.") not in ours}, **ours}, net)
    wanted = {key for key in own if key.startswith(filled) and not key.endswith("num_batches_tracked")}
    assert set(state) == wanted
    assert len(ours) == len(wanted)  # none overwrote another
    assert dropped or len(keys) == len(wanted)


def test_the_rest_is_covered_by_the_libraries_own_networks():
    assert set(published.PUBLISHED) == {*FILES, "ogm_ge", "mmcosine", "timesformer", "dfer_clip", "convnext_cspdarknet53"}


def test_a_librarys_timesformer_gives_the_same_features_here():
    from transformers import TimesformerConfig, TimesformerForVideoClassification

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    theirs = TimesformerForVideoClassification(TimesformerConfig(num_frames=8, image_size=64, **sizes)).eval()
    net = NETS["timesformer"](small=True, image_size=64).eval()
    net.load_state_dict(published.converted("timesformer", theirs.state_dict(), net), strict=False)
    frames = torch.randn(2, 8, 3, 64, 64)
    video = frames.unsqueeze(3).expand(-1, -1, -1, 3, -1, -1)
    with torch.no_grad():
        expected = theirs.timesformer(frames).last_hidden_state[:, 0]
        assert torch.allclose(net(video).embedding_BC, expected, atol=1e-5)


def test_positions_are_resized_for_smaller_pictures():
    from transformers import TimesformerConfig, TimesformerForVideoClassification

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    theirs = TimesformerForVideoClassification(TimesformerConfig(num_frames=8, image_size=96, **sizes))
    net = NETS["timesformer"](small=True, image_size=48)
    state = published.converted("timesformer", theirs.state_dict(), net)
    key = "backbone.embeddings.position_embeddings"
    assert state[key].shape == (1, 10, 16)
    assert torch.equal(state[key][:, 0], theirs.state_dict()["timesformer.embeddings.position_embeddings"][:, 0])


def test_a_librarys_clip_and_convnext_find_their_places():
    from transformers import CLIPConfig, CLIPModel, ConvNextConfig, ConvNextForImageClassification

    net = NETS["dfer_clip"](small=True)
    theirs = CLIPModel(CLIPConfig.from_dict(net.clip.config.to_dict()))
    assert set(published.converted("dfer_clip", theirs.state_dict(), net)) == {k for k in net.state_dict() if k.startswith("clip.")}
    net = NETS["convnext_cspdarknet53"](small=True)
    theirs = ConvNextForImageClassification(ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1]))
    assert set(published.converted("convnext_cspdarknet53", theirs.state_dict(), net)) == {
        k for k in net.state_dict() if k.startswith("visual.")
    }


def test_weights_of_something_else_are_refused(tmp_path, capsys):
    net = NETS["ogm_ge"](small=True)
    with pytest.raises(ValueError, match=r"transformer\.h\.0 has no place in ogm_ge"):
        published.converted("ogm_ge", {"transformer.h.0": torch.zeros(1)}, net)
    with pytest.raises(ValueError, match=r"conv1.weight is \(9, 3, 7, 7\)"):
        published.converted("ogm_ge", {"conv1.weight": torch.zeros(9, 3, 7, 7)}, net)
    assert published.main(["--recipe", "campplus", "--weights", "x", "--out", "y"]) == 1
    assert "no published weights are known for recipe 'campplus'" in capsys.readouterr().err


def test_the_command_makes_a_file_that_training_can_start_from(tmp_path, capsys):
    torch.manual_seed(5)
    weights = NETS["ogm_ge"]().visual_net.state_dict()
    torch.save({"state_dict": weights}, tmp_path / "resnet18.pth")
    out = tmp_path / "ogm.safetensors"
    assert published.main(["--recipe", "ogm_ge", "--weights", str(tmp_path / "resnet18.pth"), "--out", str(out)]) == 0
    assert "fresh: audio_net, classifier" in capsys.readouterr().out
    net = NETS["ogm_ge"](**RECIPES["ogm_ge"]().net_options)
    load_own(net, out, classifier_keys(RECIPES["ogm_ge"]()))
    assert torch.equal(net.visual_net.layer4[1].conv2.weight, weights["layer4.1.conv2.weight"])
    assert set(load_file(str(out))) == set(net.state_dict())
