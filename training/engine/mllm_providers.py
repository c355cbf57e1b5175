"""Who answers: a local Hugging Face vision-language model, or any OpenAI-compatible HTTP endpoint.

Both take pictures and a prompt and give a Reply. Local weights are only ever read from a folder; nothing is downloaded.
"""

from __future__ import annotations

import base64
import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]  # (H, W, 3)
Post = Callable[[str, Mapping[str, str], bytes, float], tuple[int, bytes]]

TRY_AGAIN = (408, 409, 429, 500, 502, 503, 504)
ATTEMPTS, FIRST_PAUSE_S, TIMEOUT_S = 4, 2.0, 120.0


class NoAnswer(RuntimeError):
    """The endpoint did not answer, or not in the form it should; the run can go on later."""


@dataclass(frozen=True)
class Reply:
    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class Provider(Protocol):
    name: str

    def answer(self, pictures: Sequence[Picture], prompt: str) -> Reply: ...


# ---- A model on this machine -----------------------------------------------------------------------------------------


class LocalModel:
    """LLaVA-NeXT-Video, Qwen2.5/3-VL, InternVL, VideoLLaMA 3 … : whatever AutoModelForImageTextToText reads from the folder."""

    def __init__(self, folder: str | Path, *, device: str = "auto", max_new_tokens: int = 16) -> None:
        path = Path(folder)
        if not (path / "config.json").is_file():
            raise ValueError(
                f"no weights at {str(folder)!r} (config.json is missing); put the model's folder there, or name another with model=DIR"
            )
        import torch  # after the check: loading the library takes seconds
        from transformers import AutoModelForImageTextToText, AutoProcessor

        on_gpu = device != "cpu" and torch.cuda.is_available()
        self.name, self.max_new_tokens = path.name, max_new_tokens
        self.processor = AutoProcessor.from_pretrained(path, local_files_only=True)
        model: Any = AutoModelForImageTextToText.from_pretrained(
            path, local_files_only=True, dtype=torch.bfloat16 if on_gpu else torch.float32
        )
        self.model = model.to("cuda" if on_gpu else "cpu").eval()

    def answer(self, pictures: Sequence[Picture], prompt: str) -> Reply:
        import torch

        since = time.monotonic()
        content = [*({"type": "image"} for _ in pictures), {"type": "text", "text": prompt}]
        text = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        images = [Image.fromarray(picture) for picture in pictures]
        inputs = self.processor(text=text, images=images, return_tensors="pt").to(self.model.device, self.model.dtype)
        with torch.inference_mode():
            out = self.model.generate(**inputs, max_new_tokens=self.max_new_tokens, do_sample=False)
        asked = inputs["input_ids"].shape[1]
        said = self.processor.tokenizer.decode(out[0, asked:], skip_special_tokens=True)
        return Reply(said.strip(), asked, out.shape[1] - asked, time.monotonic() - since)


def make_tiny_model(folder: Path) -> Path:
    """A random LLaVA of a few thousand weights in the Hub's own format, so that the local path can be run without any weights."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import CLIPImageProcessorPil, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast

    side, patch, width = 28, 14, 16
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "<image>", *letters])}
    base = Tokenizer(models.BPE(vocabulary, merges=[], unk_token="<unk>"))  # noqa: S106 - a token of a vocabulary, no secret
    base.pre_tokenizer, base.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=base, extra_special_tokens={"image_token": "<image>"}, **marks)
    template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}"
        "{% endfor %}{% endfor %}"
    )
    pictures = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    options = {"patch_size": patch, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    processor = LlavaProcessor(pictures, tokenizer, chat_template=template, **options)
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {"model_type": "clip_vision_model", **sizes, "num_hidden_layers": 2, "image_size": side, "patch_size": patch}
    text = {"model_type": "llama", **sizes, "vocab_size": len(vocabulary), "max_position_embeddings": 4096}
    torch.manual_seed(0)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=vocabulary["<image>"])
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


# ---- A model behind HTTP ---------------------------------------------------------------------------------------------


class HttpModel:
    """POST <url>/chat/completions as OpenAI's; pictures go as JPEG data URLs. `post` is injected, so that this needs no HTTP library."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str = "",
        max_new_tokens: int = 16,
        post: Post | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no HTTP address; write for instance http://127.0.0.1:8000/v1")
        self.name, self.model, self.max_new_tokens = model, model, max_new_tokens
        self.url = url.rstrip("/") + "/chat/completions"
        self.headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {api_key}"} if api_key else {})}
        self.post, self.pause = post or urllib_post, pause

    def answer(self, pictures: Sequence[Picture], prompt: str) -> Reply:
        since = time.monotonic()
        content: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": data_url(picture)}} for picture in pictures]
        message = {"role": "user", "content": [*content, {"type": "text", "text": prompt}]}
        asked = {"model": self.model, "messages": [message], "max_tokens": self.max_new_tokens, "temperature": 0}
        body = self._posted(json.dumps(asked).encode())
        try:
            answer = json.loads(body)
            text, usage = answer["choices"][0]["message"]["content"] or "", answer.get("usage") or {}
            asked_in, said_in = (int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens"))
            return Reply(text.strip(), asked_in, said_in, time.monotonic() - since)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise NoAnswer(f"{self.url}: not a chat completion ({error}): {body[:200]!r}") from error

    def _posted(self, body: bytes) -> bytes:
        """The answer's body; busy and failing servers are asked again, more and more slowly."""
        status, answer = 0, b""
        for attempt in range(ATTEMPTS):
            if attempt:
                self.pause(FIRST_PAUSE_S * 2 ** (attempt - 1))
            status, answer = self.post(self.url, self.headers, body, TIMEOUT_S)
            if status == 200:
                return answer
            if status not in (0, *TRY_AGAIN):
                break
        raise NoAnswer(f"{self.url}: status {status or 'none'}: {answer[:200].decode(errors='replace')}")


def urllib_post(url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> tuple[int, bytes]:
    """(status, body); status 0 when there is no answer at all."""
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310 - HttpModel takes http and https only
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310 - the check stands above
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (OSError, HTTPException) as error:  # no connection, too slow, or cut off in the middle
        return 0, str(error).encode()


def data_url(picture: Picture) -> str:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
