"""DFER-CLIP [34]: CLIP's picture of each frame, a transformer over the frames, compared with learnt prompts of the classes.

Authority: zengqunzhao/DFER-CLIP (MIT): CLIP ViT-B/32 (151.3 M, here `transformers.CLIPModel`), one temporal layer (2.1 M), eight learnt context tokens
for each class before its description. Input adaption: 16 frames, the middle ones of the snippets, scaled to CLIP's 224 x 224; the descriptions are of
scenes, not faces. Without CLIP's vocabulary at hand every word has a fixed id by CRC-32, which random weights do not mind; with `tokenizer` a folder
of the real one the ids are CLIP's. B batch, S frames, D dimensions, K classes, L tokens of a prompt.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize
from transformers import CLIPConfig, CLIPModel

from training.nets.inputs import fold, middle_frames, unfold
from training.nets.output import Opinions
from training.nets.tokens import TemporalTransformer

SMALL = {
    "text": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
    "vision": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64},
    "dim": 16,
}
TEMPERATURE = 0.01
CONTEXT_TOKENS, TEMPORAL_HEADS = 8, 8
CLIP_SIDE = 224
DESCRIPTIONS = {
    "Excitation": "excitement, cheerful faces, laughter, lively movement and bright music",
    "Fear": "fear, horror, dark places, screams and threatening sounds",
    "Neutral": "neutral, everyday scenes, plain speech and calm facts",
    "Relaxation": "relaxation, quiet landscapes, gentle music and soft voices",
    "Sadness": "sadness, tears, loneliness, slow music and broken voices",
    "Tension": "tension, anger, quarrels, hostile gestures and pressing sounds",
}


class DFERCLIP(nn.Module):
    """classes: their names, each described by DESCRIPTIONS or by itself; when their number does not fit num_classes, the prompts are learnt context alone."""

    uses = ("video",)
    ids_KL: Tensor

    def __init__(
        self,
        *,
        num_classes: int = 6,
        num_frames: int = 16,
        classes: Sequence[str] = tuple(DESCRIPTIONS),
        tokenizer: str = "",
        text: Mapping[str, Any] | None = None,
        vision: Mapping[str, Any] | None = None,
        dim: int = 512,
    ) -> None:
        super().__init__()
        self.clip = CLIPModel(CLIPConfig(text_config=dict(text or {}), vision_config=dict(vision or {}), projection_dim=dim))
        config: Any = self.clip.config
        self.text_config = config.text_config
        self.side = int((vision or {}).get("image_size", CLIP_SIDE))
        self.clip.logit_scale.requires_grad_(False)  # the temperature is fixed here
        head_dim = max(1, dim // TEMPORAL_HEADS)
        self.temporal = TemporalTransformer(dim, num_tokens=num_frames, depth=1, heads=TEMPORAL_HEADS, head_dim=head_dim, mlp_dim=2 * dim)
        words = [DESCRIPTIONS.get(name, name.lower()) for name in classes] if len(classes) == num_classes else [""] * num_classes
        self.context = nn.Parameter(0.02 * torch.randn(num_classes, CONTEXT_TOKENS, self.text_config.hidden_size))
        self.register_buffer("ids_KL", prompt_ids(words, self.text_config, tokenizer), persistent=False)

    def encode_text(self) -> Tensor:
        """The prompts' directions, (K, D): start, learnt context, description, end."""
        text = self.clip.text_model
        words = text.embeddings.token_embedding(self.ids_KL)
        prompts = torch.cat([words[:, :1], self.context, words[:, 1 + CONTEXT_TOKENS :]], dim=1)
        place = torch.arange(prompts.shape[1], device=prompts.device)
        hidden = prompts + text.embeddings.position_embedding(place)
        causal = torch.full((len(place), len(place)), float("-inf"), device=prompts.device).triu(1)
        hidden = text.encoder(inputs_embeds=hidden, attention_mask=causal[None, None]).last_hidden_state
        ends = torch.eq(self.ids_KL, self.text_config.eos_token_id).int().argmax(dim=1)
        last = text.final_layer_norm(hidden)[torch.arange(len(ends), device=ends.device), ends]
        return normalize(self.clip.text_projection(last), dim=1)

    def encode_video(self, video: Tensor) -> Tensor:
        frames = interpolate(fold(middle_frames(video)), size=(self.side, self.side), mode="bilinear", antialias=False)
        pooled = self.clip.vision_model(frames).pooler_output
        return self.temporal(unfold(self.clip.visual_projection(pooled), len(video)))

    def forward(self, video: Tensor, audio: Tensor | None = None) -> Opinions:
        video_BD = self.encode_video(video)
        return Opinions(normalize(video_BD, dim=1) @ self.encode_text().T / TEMPERATURE, embedding_BC=video_BD)


def prompt_ids(words: Sequence[str], config: Any, tokenizer: str) -> Tensor:
    """Token ids of start, placeholders for the context, the description, end, then padding: (K, L)."""
    room = config.max_position_embeddings - CONTEXT_TOKENS - 2
    rows = torch.full((len(words), config.max_position_embeddings), config.eos_token_id)
    for row, sentence in zip(rows, words, strict=True):
        ids = word_ids(sentence, config, tokenizer)[:room]
        row[0] = config.bos_token_id
        row[1 : 1 + CONTEXT_TOKENS] = 0
        row[1 + CONTEXT_TOKENS : 1 + CONTEXT_TOKENS + len(ids)] = torch.tensor(ids, dtype=torch.long)
    return rows


def word_ids(sentence: str, config: Any, tokenizer: str) -> list[int]:
    if tokenizer:
        from transformers import CLIPTokenizer

        return CLIPTokenizer.from_pretrained(tokenizer, local_files_only=True)(sentence, add_special_tokens=False)["input_ids"]
    ordinary = min(config.bos_token_id, config.eos_token_id) - 1
    return [1 + crc32(word.strip(",.").encode()) % ordinary for word in sentence.split()]
