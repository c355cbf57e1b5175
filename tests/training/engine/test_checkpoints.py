"""Weights from elsewhere, in every dialect; nothing missing or left over goes unsaid."""

import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from training.engine import checkpoints, runs
from training.engine.recipes import RECIPES
from training.nets.backbones import AudioResNet, VideoSwinT

SWIN = {"embed_dim": 8, "depths": (2, 1, 1, 1), "num_heads": (1, 2, 2, 2), "window": (4, 3, 3)}


def swin(seed):
    torch.manual_seed(seed)
    return VideoSwinT(**SWIN)


def flat(state):
    """A 2-D Swin's weights under Microsoft's names: what inflation starts from."""
    generator = torch.Generator().manual_seed(7)
    out = {k: v.clone() for k, v in state.items()}
    out["patch_embed.proj.weight"] = torch.randn(8, 3, 4, 4, generator=generator)
    for key in out:
        if key.endswith("table"):
            out[key] = torch.randn(25, out[key].shape[1], generator=generator)
    return out


def timm(state):
    return {re.sub(r"^layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) + 1}.downsample", k): v for k, v in state.items()} | {
        "head.fc.weight": torch.zeros(1)
    }


def video_torchvision(state):
    out = {}
    for key, value in state.items():
        key = re.sub(r"^layers\.(\d)\.blocks\.", lambda m: f"features.{2 * int(m[1])}.", key)
        key = re.sub(r"^layers\.(\d)\.downsample\.", lambda m: f"features.{2 * int(m[1]) + 1}.", key)
        out[key.replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.3")] = value
    return out | {"head.weight": torch.zeros(1), "features.0.0.attn.relative_position_index": torch.zeros(1)}


def flat_torchvision(state):
    out = {}
    for key, value in state.items():
        key = re.sub(r"^layers\.(\d)\.blocks\.", lambda m: f"features.{2 * int(m[1]) + 1}.", key)
        key = re.sub(r"^layers\.(\d)\.downsample\.", lambda m: f"features.{2 * int(m[1]) + 2}.", key)
        key = key.replace("patch_embed.proj", "features.0.0").replace("patch_embed.norm", "features.0.2")
        out[key.replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.3")] = value
    return out | {"head.weight": torch.zeros(1)}


def kinetics(state):
    inside = {f"backbone.{k}": v for k, v in state.items()} | {
        "backbone.layers.0.blocks.1.attn.relative_position_index": torch.zeros(1),
        "cls_head.fc_cls.weight": torch.zeros(1),
    }
    return {"state_dict": inside, "epoch": 30}


def microsoft(state):
    return {"model": state | {"head.weight": torch.zeros(1), "layers.0.blocks.1.attn_mask": torch.zeros(1)}}


def loaded(tmp_path, content, target):
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    checkpoints.load_swin(target, path)
    return target.state_dict()


@pytest.mark.parametrize("dialect", [kinetics, video_torchvision, timm, lambda s: {f"module.{k}": v for k, v in s.items()}])
def test_3d_weights_arrive_unchanged(tmp_path, dialect):
    source = swin(1).state_dict()
    got = loaded(tmp_path, dialect(source), swin(2))
    assert all(torch.equal(got[key], value) for key, value in source.items())


@pytest.mark.parametrize("dialect", [microsoft, timm, flat_torchvision])
def test_2d_weights_are_inflated(tmp_path, dialect):
    source = flat(swin(1).state_dict())
    got = loaded(tmp_path, dialect(source), swin(2))
    torch.testing.assert_close(got["patch_embed.proj.weight"].sum(2), source["patch_embed.proj.weight"])
    key = "layers.2.blocks.0.attn.relative_position_bias_table"
    assert torch.equal(got[key], source[key].repeat(7, 1))
    same = "layers.1.downsample.reduction.weight"
    assert torch.equal(got[same], source[same])


HUB_NAMES = (
    (r"attention\.relative_position_bias\.", "attention.self."),
    (r"attention\.q_proj", "attention.self.query"),
    (r"attention\.k_proj", "attention.self.key"),
    (r"attention\.v_proj", "attention.self.value"),
    (r"attention\.o_proj", "attention.output.dense"),
    (r"mlp\.fc1", "intermediate.dense"),
    (r"mlp\.fc2", "output.dense"),
)


def hub(state):
    """The names in the files of the hub, older than those of transformers 5."""
    out = {}
    for key, value in state.items():
        for pattern, name in HUB_NAMES:
            key = re.sub(pattern, name, key)
        out[f"swin.{key}"] = value
    return out


@pytest.mark.parametrize("dialect", [dict, hub])
def test_an_inflated_network_sees_a_still_video_as_the_2d_network_sees_the_picture(tmp_path, dialect):
    transformers = pytest.importorskip("transformers")
    config = transformers.SwinConfig(
        image_size=96, embed_dim=8, depths=[2, 1, 1, 1], num_heads=[1, 2, 2, 2], window_size=3, drop_path_rate=0.0
    )
    torch.manual_seed(5)
    plane = transformers.SwinModel(config, add_pooling_layer=False).eval()
    for name, parameter in plane.named_parameters():
        if "bias_table" in name:
            torch.nn.init.normal_(parameter)
    save_file(dialect({k: v.contiguous() for k, v in plane.state_dict().items()}), str(tmp_path / "hf.safetensors"))
    solid = swin(6).eval()
    checkpoints.load_swin(solid, tmp_path / "hf.safetensors")
    picture = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        expected = plane(picture).last_hidden_state  # (2, 9, 64)
        got = solid(picture[:, :, None].expand(-1, -1, 8, -1, -1))  # (2, 4, 3, 3, 64)
    torch.testing.assert_close(got, expected.view(2, 1, 3, 3, 64).expand_as(got), rtol=1e-3, atol=1e-4)


def test_a_bias_table_of_another_window_is_resized(tmp_path):
    source = flat(swin(1).state_dict())
    flat_value = {k: (torch.full((169, v.shape[1]), 0.25) if k.endswith("table") else v) for k, v in source.items()}
    got = loaded(tmp_path, flat_value, swin(2))
    torch.testing.assert_close(got["layers.0.blocks.0.attn.relative_position_bias_table"], torch.full((175, 1), 0.25))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "norm.bias"}, r"missing norm\.bias"),
        (lambda s: s | {"layers.9.x": torch.zeros(1)}, r"unexpected layers\.9\.x"),
        (lambda s: s | {"norm.bias": torch.zeros(3)}, r"norm\.bias is \(3,\), needed \(64,\)"),
        (lambda s: {"fc.weight": torch.zeros(1)}, "no Swin weights"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, said):
    with pytest.raises(ValueError, match=said):
        loaded(tmp_path, change(swin(1).state_dict()), swin(2))


class Trap:
    def __reduce__(self):
        return (exec, ("raise SystemExit",))


def test_code_in_a_weights_file_is_not_run(tmp_path):
    torch.save({"state_dict": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match="holds more than weights"):
        checkpoints.read_weights(tmp_path / "trap.pth")


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
def test_a_file_cut_short_is_named(tmp_path, name):
    path, state = tmp_path / name, {"weight": torch.zeros(9)}
    torch.save(state, path) if name.endswith("pth") else save_file(state, str(path))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=rf"{name} cannot be read as weights"):
        checkpoints.read_weights(path)


# ---- ResNet ----------------------------------------------------------------------------------------------------------


def imagenet(net):
    generator = torch.Generator().manual_seed(3)
    state = {k: v.clone() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    return state | {
        "conv1.weight": torch.randn(4, 3, 7, 7, generator=generator),
        "fc.weight": torch.zeros(9, 32),
        "fc.bias": torch.zeros(9),
    }


def hugging_face(state):
    out = {}
    for key, value in state.items():
        if key.startswith("fc."):
            continue
        key = re.sub(r"^conv1\.", "embedder.embedder.convolution.", key)
        key = re.sub(r"^bn1\.", "embedder.embedder.normalization.", key)
        key = re.sub(r"^layer(\d)\.(\d)\.", lambda m: f"encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.", key)
        key = re.sub(
            r"(?<=layers\.\d)\.(conv|bn)(\d)\.",
            lambda m: f".layer.{int(m[2]) - 1}.{'convolution' if m[1] == 'conv' else 'normalization'}.",
            key,
        )
        key = key.replace("downsample.0", "shortcut.convolution").replace("downsample.1", "shortcut.normalization")
        out[f"resnet.{key}"] = value
    return out | {"classifier.1.weight": torch.zeros(1)}


@pytest.mark.parametrize("dialect", [dict, hugging_face])
def test_an_imagenet_resnet_becomes_an_audio_resnet(tmp_path, dialect):
    source = imagenet(AudioResNet(width=4))
    torch.save(dialect(source), tmp_path / "resnet.pth")
    net = AudioResNet(width=4)
    checkpoints.load_resnet(net, tmp_path / "resnet.pth")
    assert torch.equal(net.layer4[2].conv2.weight, source["layer4.2.conv2.weight"])
    # A picture that is the same across colours and along the coefficients is answered as the whole kernel answers it.
    torch.testing.assert_close(net.conv1.weight[:, 0, :, 0], source["conv1.weight"].sum((1, 3)))


# ---- our own ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", ["abcdefgh", "abcdef"])
def test_another_data_sets_network_starts_a_run_without_its_classifier(tmp_path, tiny, classes):
    other = replace(tiny, classes=tuple(classes), polarity=("neutral",) * len(classes))
    torch.manual_seed(1)
    source = runs.build(other)
    runs.save_weights(tmp_path / "other.safetensors", source)
    net = runs.build(tiny)
    before = net.classifier.linear.weight.clone()
    checkpoints.initialised(net, replace(tiny, init_from=str(tmp_path / "other.safetensors")))
    assert checkpoints.classifier_keys(tiny) == ["classifier.linear.weight", "classifier.linear.bias"]
    assert torch.equal(net.classifier.linear.weight, before)
    assert torch.equal(net.lisf.select.weigh_video.weight, source.lisf.select.weigh_video.weight)


def test_a_recipe_finds_the_backbone_inside_its_network(tmp_path, tiny):
    net = runs.build(tiny)
    save_file({k: v.contiguous() for k, v in net.video_branch.backbone.state_dict().items()}, str(tmp_path / "swin.safetensors"))
    other = checkpoints.initialised(runs.build(tiny), replace(tiny, init_video=str(tmp_path / "swin.safetensors")))
    assert torch.equal(other.video_branch.backbone.norm.weight, net.video_branch.backbone.norm.weight)
    with pytest.raises(ValueError, match="has no VideoSwinT"):
        checkpoints.initialised(AudioResNet(width=4), replace(tiny, init_video="x"))


def test_files_written_by_a_run_need_no_pickle(tmp_path, tiny):
    assert RECIPES["avcanet"]().init_video == ""
    with pytest.raises(ValueError, match="train from scratch by leaving"):
        checkpoints.read_weights(tmp_path / "absent.pth")


@pytest.mark.slow
def test_the_converter_writes_safetensors_of_the_full_size(tmp_path, capsys):
    source = AudioResNet().state_dict()
    torch.save(source | {"conv1.weight": torch.randn(64, 3, 7, 7)}, tmp_path / "in.pth")
    assert checkpoints.main(["resnet", str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors")]) == 0
    checkpoints.load_resnet(AudioResNet(), tmp_path / "out.safetensors")
    assert checkpoints.main(["swin", str(tmp_path / "in.pth"), str(tmp_path / "out2.safetensors")]) == 1
    assert "no Swin weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello\n", "cannot be read as weights"),
        (b"", "cannot be read as weights"),
        ([torch.zeros(2)], "holds a list and no weights by name; save a state_dict"),
        ({"some": torch.zeros(2)}, "these are no ResNet weights"),
    ],
)
def test_what_is_no_file_of_weights_is_named_in_one_line(tmp_path, capsys, content, said):
    path = tmp_path / "weights.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    assert checkpoints.main(["resnet", str(path), str(tmp_path / "out.safetensors")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(str(path))
    assert said in line


def test_weights_of_which_one_bit_changed_on_the_way_are_not_taken(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.ones(1000)}, path)
    data = bytearray(path.read_bytes())
    data[data.find(torch.ones(1).numpy().tobytes() * 4) + 2] ^= 16
    path.write_bytes(data)
    assert not torch.equal(torch.load(path)["weight"], torch.ones(1000))  # torch itself takes them
    with pytest.raises(ValueError, match=r"weights.pt is damaged \(the checksum of weights/data/0 differs\); fetch it again"):
        checkpoints.read_weights(path)


def test_weights_are_written_for_all_to_read_or_the_refusal_is_one_line(tmp_path):
    net = torch.nn.Linear(2, 3)
    runs.save_weights(tmp_path / "net.safetensors", net)
    (tmp_path / "plain").touch()
    assert (tmp_path / "net.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
    for target in (tmp_path / "absent" / "net.safetensors", tmp_path / "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(OSError, match=f"{target} cannot be written"):
            runs.save_weights(target, net)
