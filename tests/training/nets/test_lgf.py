"""The Local-Global Fusion module against a straight-line computation in float64 that shares no code with it."""

import numpy as np
import pytest
import torch

from training.nets.lgf import GLCF, LISF, AttentionBlock, LGFOptions, MultiHeadAttention, window_mask

SMALL = {"width": 12, "num_heads": 3, "dropout": 0.0, "attention_dropout": 0.0}
NUM_CLIPS, NUM_SNIPPETS = 2, 7


def modalities(seed=0, width=12):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(NUM_CLIPS, NUM_SNIPPETS, width, generator=generator, dtype=torch.float64) for _ in range(2))


def randomised(module, seed=1):
    """The module in float64 with every parameter random, so that no norm or bias hides at its initial value."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.4)
    return module


# ---- the reference: numpy, one clip, one snippet, one head at a time ------------------------------------------------


def affine(weights, name, x):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def layer_norm(weights, name, x):
    centred = x - x.mean()
    return centred / np.sqrt((x**2).mean() - x.mean() ** 2 + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def attention(weights, name, queries, context, heads, reach=None):
    out = np.zeros_like(queries)
    depth = queries.shape[1] // heads
    for t in range(len(queries)):
        seen = [u for u in range(len(context)) if reach is None or abs(t - u) <= reach]
        joined = []
        for head in range(heads):
            part = slice(head * depth, (head + 1) * depth)
            q = affine(weights, f"{name}.query", queries[t])[part]
            keys = [affine(weights, f"{name}.key", context[u])[part] for u in seen]
            values = [affine(weights, f"{name}.value", context[u])[part] for u in seen]
            strength = np.exp([q @ k / np.sqrt(depth) for k in keys])
            joined.append(sum(s / strength.sum() * v for s, v in zip(strength, values, strict=True)))
        out[t] = affine(weights, f"{name}.out", np.concatenate(joined))
    return out


def block(weights, name, x, context, heads, reach=None):
    normed = np.stack([layer_norm(weights, f"{name}.query_norm", row) for row in x])
    x = x + attention(weights, f"{name}.attention", normed, context, heads, reach)
    fed = []
    for row in x:
        hidden = np.maximum(affine(weights, f"{name}.ffn.0", layer_norm(weights, f"{name}.ffn_norm", row)), 0)
        fed.append(row + affine(weights, f"{name}.ffn.3", hidden))
    return np.stack(fed)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gate(weights, name, within, across):
    both = np.concatenate((within, across), 1)
    return sigmoid(affine(weights, f"{name}.within", both)) * within + sigmoid(affine(weights, f"{name}.across", both)) * across


def temporal(weights, name, x, dilation):
    kernel, bias = weights[f"{name}.conv.weight"], weights[f"{name}.conv.bias"]
    out = np.zeros_like(x)
    for t in range(len(x)):
        hidden = bias.copy()
        for tap, u in enumerate((t - dilation, t, t + dilation)):
            if 0 <= u < len(x):
                hidden = hidden + kernel[:, :, tap] @ x[u]
        out[t] = weights[f"{name}.point.weight"][:, :, 0] @ np.maximum(hidden, 0) + weights[f"{name}.point.bias"]
    return np.maximum(x + out, 0)


def lisf(weights, video, audio, heads):
    kept = []
    for level, reach in enumerate((1, 2)):
        at = f"pyramid.{level}"
        v = gate(
            weights,
            f"{at}.gate_video",
            block(weights, f"{at}.sa_video", video, video, heads, reach),
            block(weights, f"{at}.cma", video, audio, heads, reach),
        )
        a = gate(
            weights,
            f"{at}.gate_audio",
            block(weights, f"{at}.sa_audio", audio, audio, heads, reach),
            block(weights, f"{at}.cma", audio, video, heads, reach),
        )
        video, audio = temporal(weights, f"{at}.temporal_video", v, 2**level), temporal(weights, f"{at}.temporal_audio", a, 2**level)
        kept.append((video, audio))
    out_v, out_a = np.zeros_like(video), np.zeros_like(audio)
    for t in range(len(video)):
        w_v = np.stack([sigmoid(affine(weights, "select.weigh_video", v[t])) for v, _ in kept])
        w_a = np.stack([sigmoid(affine(weights, "select.weigh_audio", a[t])) for _, a in kept])
        settled_v, settled_a = block(weights, "select.cma", w_v, w_a, 1), block(weights, "select.cma", w_a, w_v, 1)
        out_v[t] = sum(settled_v[level] * v[t] for level, (v, _) in enumerate(kept))
        out_a[t] = sum(settled_a[level] * a[t] for level, (_, a) in enumerate(kept))
    return out_v, out_a


def glcf(weights, video, audio, heads):
    out_v = affine(weights, "linear_video", attention(weights, "attention", video, audio, heads)) + video
    out_a = affine(weights, "linear_audio", attention(weights, "attention", audio, video, heads)) + audio
    return out_v.mean(0), out_a.mean(0)


def as_numpy(module):
    return {k: v.numpy() for k, v in module.state_dict().items()}


@pytest.mark.parametrize(("module", "reference"), [(LISF, lisf), (GLCF, glcf)])
def test_module_equals_the_straight_line_computation(module, reference):
    net = randomised(module(LGFOptions(**SMALL)))
    video, audio = modalities()
    with torch.no_grad():
        got = net(video, audio)
    weights = as_numpy(net)
    for clip in range(NUM_CLIPS):
        expected = reference(weights, video[clip].numpy(), audio[clip].numpy(), SMALL["num_heads"])
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one[clip].numpy(), other, rtol=1e-9, atol=1e-9)


def test_a_snippet_sees_as_far_as_the_window_and_no_further():
    torch.testing.assert_close(window_mask(5, 2).int().tolist()[1], [1, 1, 1, 1, 0])
    block_ = randomised(AttentionBlock(12, 3, dropout=0.0, attention_dropout=0.0))
    video, audio = modalities()
    before = block_(video, audio, window_mask(NUM_SNIPPETS, 2))
    audio[:, 5] += 1
    changed = (block_(video, audio, window_mask(NUM_SNIPPETS, 2)) - before).abs().sum((0, 2)) > 0
    assert changed.tolist() == [False, False, False, True, True, True, True]


@pytest.mark.parametrize("half_width", [NUM_SNIPPETS - 1, NUM_SNIPPETS, 40, -1])
def test_a_window_as_wide_as_the_clip_is_full_attention(half_width):
    attend = randomised(MultiHeadAttention(12, 3))
    video, audio = modalities()
    torch.testing.assert_close(attend(video, audio, window_mask(NUM_SNIPPETS, half_width)), attend(video, audio))


def test_cross_modal_weights_are_shared_by_both_directions_unless_asked_otherwise():
    video, audio = modalities()
    level = randomised(LISF(LGFOptions(**SMALL))).pyramid[0]
    assert torch.equal(level.cma(video, audio), level.cma(video, audio))
    assert level.cma_audio is None
    assert LISF(LGFOptions(**SMALL, share_cma=False)).pyramid[0].cma_audio is not None


@pytest.mark.parametrize(
    "options",
    [{"norm": "full"}, {"selection": "plain"}, {"share_global": False}, {"share_global_linear": True}, {"windows": (4, -1)}, {"levels": 3}],
)
def test_each_reading_of_an_open_choice_computes_something_else(options):
    video, audio = modalities()
    outs = []
    for chosen in ({}, options):
        settled = LGFOptions(**SMALL, **chosen)
        local, global_ = randomised(LISF(settled)), randomised(GLCF(settled))
        outs.append(global_(*local(video, audio))[1])
    assert not torch.allclose(*outs)


def test_with_one_size_the_layer_norm_of_the_selection_says_nothing_of_its_input():
    block_ = randomised(AttentionBlock(1, 1, dropout=0.0, attention_dropout=0.0))
    assert torch.equal(block_.query_norm(torch.tensor([[0.1], [0.9]], dtype=torch.float64)), block_.query_norm.bias.expand(2, 1))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"norm": "post"}, "norm"),
        ({"windows": (1,)}, "as many windows"),
        ({"width": 10, "num_heads": 3}, "multiple"),
        ({"levels": 0}, "needs one at least"),
    ],
)
def test_a_bad_option_is_refused_by_name(values, said):
    with pytest.raises(ValueError, match=said):
        LGFOptions(**values)
