"""The paper's own tables as data: which rows there are, which recipe makes each, and the numbers printed (in percent), to be shown beside ours.

A line is: recipe | the paper's name | one block of numbers for each data set. `-` where the paper gives none. Table IV's DFER-CLIP row is printed as in the
paper, though its UAR is not the mean of its recalls.
"""

from __future__ import annotations

from dataclasses import dataclass

RECALLS = ("EX", "FR", "NU", "RE", "SD", "TN")
SCORES = ("ACC", "WA-F1")
E_MOTIONS, MUSIC, EKMAN, VIDEO_EMOTION, IEMOCAP = "eMotions", "Music_video", "Ekman6", "VideoEmotion8", "IEMOCAP"


@dataclass(frozen=True)
class PaperRow:
    recipe: str
    name: str
    values: dict[str, tuple[float | None, ...]]  # by data set, in the order of the table's columns
    init_from: str = ""  # a data set whose AV-CANet run the weights come from (Tab. XI, XII)


@dataclass(frozen=True)
class PaperTable:
    """baseline: the recipe that the significance of the others is tested against."""

    number: str
    title: str
    datasets: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    baseline: str

    def row(self, recipe: str) -> PaperRow:
        return next(row for row in self.rows if row.recipe == recipe)


def _rows(text: str, datasets: tuple[str, ...]) -> tuple[PaperRow, ...]:
    rows = []
    for line in text.strip().splitlines():
        recipe, name, *blocks = (part.strip() for part in line.split("|"))
        recipe, _, source = recipe.partition(" < ")
        values = (tuple(None if n == "-" else float(n) for n in block.split()) for block in blocks)
        rows.append(PaperRow(recipe, name, dict(zip(datasets, values, strict=True)), source))
    return tuple(rows)


def _table(number: str, title: str, datasets: tuple[str, ...], columns: tuple[str, ...], baseline: str, text: str) -> PaperTable:
    return PaperTable(number, title, datasets, columns, _rows(text, datasets), baseline)


THREE = (E_MOTIONS, MUSIC, EKMAN)
TABLES: dict[str, PaperTable] = {
    table.number: table
    for table in (
        _table(
            "IV",
            "Methods on the three eMotions data sets",
            ("e_B", "e_T", "e_All"),
            (*RECALLS, *SCORES, "UAR"),
            "vaanet",
            """
resnet34_audio         | ResNet34 [54]                | 66.63 50.79 37.67 68.62 37.08 52.38 53.44 52.65 52.19 | 70.00 41.18 57.32 51.90 12.00 17.95 55.20 53.13 41.72 | 78.92 37.17 55.66 44.70 16.27 22.90 58.39 56.14 42.60
cnn14                  | PANNS [57]                   | 71.25 49.74 30.17 57.79 36.60 51.02 51.16 50.68 49.43 | 78.10 41.18 45.86 41.77 4.00 5.13 52.60 48.44 36.01 | 83.48 43.46 42.58 50.79 16.75 29.93 57.48 54.99 44.50
ecapa_tdnn             | ECAPA-TDNN [58]              | 69.13 42.93 36.83 49.21 55.02 38.78 50.99 50.45 48.65 | 80.24 29.41 39.81 31.65 36.00 14.10 53.50 50.92 38.53 | 84.63 29.32 47.24 42.66 23.68 13.38 57.52 54.54 40.15
res2net                | Res2Net [59]                 | 73.63 43.98 35.83 57.79 26.08 44.44 50.09 48.72 46.96 | 75.24 32.35 47.13 45.57 5.33 20.51 53.10 50.37 37.69 | 71.98 40.84 51.51 48.98 17.70 30.39 55.34 53.96 43.57
campplus               | CAMPPlus [60]                | 69.00 40.31 36.50 65.46 38.28 48.53 52.26 51.37 49.68 | 73.03 41.18 48.09 51.90 10.67 25.32 54.00 52.06 41.70 | 78.62 34.56 49.91 48.08 13.88 18.14 56.09 53.51 40.53
video_swin_t           | Video Swin-Transformer [12]  | 66.67 66.14 69.76 71.37 51.63 55.03 64.12 64.31 63.43 | 66.83 61.76 80.25 56.96 40.00 11.39 63.70 62.21 52.87 | 65.64 49.21 86.80 55.30 40.19 10.20 64.64 62.92 51.23
i3d                    | I3D [61]                     | 69.84 74.87 62.83 70.20 51.67 51.02 63.28 63.68 63.41 | 68.74 64.71 80.89 59.49 37.33 6.33 64.40 62.68 52.91 | 71.48 52.36 80.66 51.92 42.58 13.15 65.41 63.90 52.03
slowfast_r50           | SlowFast [62]                | 70.34 5.76 22.33 38.37 45.93 48.98 44.43 41.94 38.62 | 76.37 0.00 47.77 7.59 14.67 0.00 48.70 42.77 24.40 | 77.71 0.00 51.42 15.35 11.24 3.40 51.05 45.60 26.52
cten                   | CTEN [36]                    | 65.00 37.17 45.83 69.07 52.15 36.28 53.58 53.02 50.92 | 74.22 38.24 61.46 54.43 32.00 7.59 59.00 56.94 44.66 | 73.51 28.80 65.87 45.82 30.62 6.12 58.89 56.53 41.79
former_dfer            | Former-DFER [32]             | 64.85 41.80 36.01 58.57 43.36 51.68 51.64 51.38 49.38 | 74.46 38.24 50.32 26.58 24.00 26.58 54.30 52.56 40.03 | 69.97 39.79 65.55 51.69 39.71 10.43 59.16 57.67 46.19
timesformer            | TimeSformer [63]             | 68.84 74.35 63.33 73.81 57.89 48.75 64.18 64.32 64.50 | 70.88 55.88 75.48 40.51 28.00 8.86 61.30 59.17 46.60 | 78.90 51.31 73.09 47.18 34.45 4.31 64.43 61.62 48.21
dfer_clip              | DFER-CLIP [34]               | 59.40 84.29 45.49 74.32 63.98 51.42 58.82 59.04 58.41 | 67.48 50.00 53.44 57.14 44.68 39.13 58.90 56.96 39.75 | 69.55 92.38 57.12 73.56 67.60 40.80 64.33 63.07 51.49
c3d                    | C3D [64]                     | 72.84 69.63 51.33 69.53 55.50 51.25 61.86 61.84 61.68 | 76.61 55.88 62.74 49.37 37.33 12.66 61.40 59.72 49.10 | 65.94 41.88 82.76 58.92 43.78 3.40 63.27 61.04 49.45
vaanet                 | VAANet [10]                  | 72.38 63.35 47.83 67.95 44.50 59.41 60.01 59.89 59.24 | 74.46 47.06 57.01 54.43 28.00 37.97 60.10 59.46 49.82 | 72.79 58.64 65.43 59.14 45.22 32.88 63.71 63.31 55.68
ogm_ge                 | OGM-GE [41]                  | 67.27 67.20 33.92 46.64 31.33 56.60 50.78 50.02 50.49 | 77.00 35.29 48.30 27.69 26.83 8.57 54.20 51.49 37.28 | 80.32 34.34 42.71 39.62 18.33 34.20 55.39 53.19 41.59
msaf                   | MSAF [38]                    | 60.33 54.77 41.30 70.95 52.36 47.80 54.69 54.51 54.58 | 63.43 44.83 60.52 37.18 26.39 15.28 53.73 52.70 41.27 | 71.57 51.32 65.06 60.92 37.03 12.33 60.93 59.51 49.70
mmcosine               | MMCosine [42]                | 59.03 35.45 41.08 59.22 57.89 50.34 52.47 52.46 50.50 | 78.17 23.53 45.51 30.77 28.05 7.14 53.60 50.60 35.53 | 68.93 48.99 53.87 43.63 34.29 23.53 55.27 54.35 45.54
resnet3d50_resnet34    | 3D-R50 + R34 [54], [65]      | 72.50 69.63 49.17 72.69 55.74 55.78 62.53 62.31 62.59 | 68.02 35.29 69.43 58.23 36.00 17.72 60.20 59.04 47.45 | 77.73 60.21 59.24 60.50 36.36 41.04 63.98 63.45 55.85
convnext_cspdarknet53  | ConvNeXt + C53 [66], [67]    | 66.25 75.92 46.17 69.30 65.55 65.08 62.91 62.87 64.71 | 77.33 50.00 62.74 50.63 34.67 35.44 63.20 62.33 51.80 | 78.36 66.49 61.46 57.11 54.55 33.11 65.62 65.01 58.51
avcanet                | AV-CANet                     | 67.03 68.25 50.87 75.05 65.16 63.53 64.40 64.32 64.99 | 82.58 58.82 62.10 45.57 48.00 46.84 67.00 66.28 57.32 | 80.24 59.16 63.39 63.43 54.07 40.14 67.79 67.32 60.07
""",
        ),
        _table(
            "V",
            "Methods on public data sets",
            (EKMAN, VIDEO_EMOTION, MUSIC, IEMOCAP),
            SCORES,
            "vaanet",
            """
resnet34_audio         | ResNet34 [54]                | 33.95 32.17 | 31.63 29.11 | 72.73 73.07 | 53.09 52.45
cnn14                  | PANNS [57]                   | 27.47 21.77 | 27.91 23.06 | 63.38 61.46 | 53.44 52.83
ecapa_tdnn             | ECAPA-TDNN [58]              | 28.40 28.21 | 26.98 23.20 | 69.95 69.95 | 55.31 55.17
res2net                | Res2Net [59]                 | 31.17 29.64 | 29.77 27.12 | 65.91 65.76 | 48.78 47.36
campplus               | CAMPPlus [60]                | 29.01 29.03 | 22.33 23.59 | 70.71 71.79 | 51.81 50.88
video_swin_t           | Video Swin-Transformer [12]  | 47.59 49.44 | 46.31 45.77 | 74.68 80.64 | 68.48 67.44
i3d                    | I3D [61]                     | 40.51 42.10 | 40.89 41.34 | 64.05 79.75 | 68.64 67.99
slowfast_r50           | SlowFast [62]                | 28.35 21.92 | 25.12 16.06 | 50.13 45.17 | 27.54 16.67
cten                   | CTEN [36]                    | 53.44 52.76 | 47.66 47.04 | 76.20 75.43 | 55.31 54.96
former_dfer            | Former-DFER [32]             | 37.96 36.88 | 35.35 29.10 | 60.51 59.73 | 54.26 54.18
timesformer            | TimeSformer [63]             | 36.33 34.34 | 46.30 45.65 | 78.23 81.07 | 38.27 31.81
dfer_clip              | DFER-CLIP [34]               | 44.44 43.81 | 37.21 29.32 | 79.49 79.51 | 32.91 16.29
c3d                    | C3D [64]                     | 44.05 42.84 | 42.36 42.02 | 62.78 77.43 | 68.96 68.16
vaanet                 | VAANet [10]                  | 50.31 49.65 | 46.73 43.92 | 78.99 77.99 | 62.08 61.86
ogm_ge                 | OGM-GE [41]                  | 34.26 33.10 | 33.33 32.12 | 57.32 56.46 | 49.07 48.82
msaf                   | MSAF [38]                    | 30.56 25.35 | 31.25 28.56 | 63.38 63.06 | 50.70 49.76
mmcosine               | MMCosine [42]                | 33.33 33.08 | 32.18 26.82 | 58.59 57.70 | 49.42 49.42
resnet3d50_resnet34    | 3D-R50 + R34 [54], [65]      | 48.44 47.57 | 44.39 43.21 | 73.42 72.98 | 63.36 63.12
convnext_cspdarknet53  | ConvNeXt + C53 [66], [67]    | 50.00 49.33 | 45.33 45.23 | 75.70 74.25 | 61.03 60.26
avcanet                | AV-CANet                     | 55.63 55.44 | 49.53 48.24 | 84.81 84.63 | 68.73 68.73
""",
        ),
        _table(
            "VI",
            "Overall fusion modules",
            THREE,
            SCORES,
            "fusion_vanilla",
            """
fusion_vanilla        | Vanilla             | 65.98 65.05 | 75.19 74.66 | 50.31 50.41
fusion_self_attention | Self-Attention [56] | 67.21 66.72 | 81.77 81.56 | 51.56 50.73
fusion_lgi_former     | LGI-Former [72]     | 67.13 66.51 | 82.03 82.08 | 53.75 53.20
fusion_hicmae         | Sun et al. [71]     | 66.14 65.15 | 77.97 77.62 | 49.69 49.29
fusion_lgf            | LGF Module          | 67.48 67.19 | 82.78 82.46 | 54.06 53.51
""",
        ),
        _table(
            "VII",
            "Multimodal language models",
            ("e_T",),
            SCORES,
            "avcanet",
            """
llava       | LLaVA [73]       | 49.06 47.92
qwen_vl     | Qwen-VL [74]     | 49.33 50.02
internvl    | InternVL [75]    | 52.54 52.88
video_llama | Video-LLaMA [76] | 56.02 55.11
avcanet     | AV-CANet (ours)  | 67.00 66.28
""",
        ),
        _table(
            "VIII",
            "Fusion strategies in GLCF",
            THREE,
            SCORES,
            "strategy_mid_concat",
            """
strategy_gated      | Gated [77]  | 67.39 67.35 | 80.51 80.26 | 50.94 50.45
strategy_multiply   | EW-Multiply | 64.44 63.97 | 76.71 76.44 | 48.44 47.17
strategy_neural     | Neural      | 66.52 66.12 | 82.03 81.75 | 53.44 52.34
strategy_mid_concat | Mid-Concat  | 67.48 67.19 | 82.78 82.46 | 54.06 53.51
strategy_sum        | Sum         | 66.49 66.17 | 81.77 81.64 | 50.94 50.18
""",
        ),
        _table(
            "IX",
            "LISF and GLCF on and off",
            THREE,
            SCORES,
            "fusion_vanilla",
            """
fusion_vanilla | None        | 65.98 65.05 | 75.19 74.66 | 50.31 50.41
only_lisf      | LISF        | 67.41 67.07 | 82.44 81.93 | 53.44 52.52
only_glcf      | GLCF        | 67.08 66.41 | 81.89 81.00 | 51.88 51.30
fusion_lgf     | LISF + GLCF | 67.48 67.19 | 82.78 82.46 | 54.06 53.51
""",
        ),
        _table(
            "X",
            "Penalties of the EP-CE loss",
            THREE,
            SCORES,
            "epce_0.3",
            """
epce_0.3 | 0.3 : 0.3 : 0.3 | 67.34 66.83 | 84.03 83.75 | 54.37 54.18
epce_0.4 | 0.4 : 0.4 : 0.4 | 67.34 66.89 | 84.05 83.89 | 54.38 53.88
epce_0.5 | 0.5 : 0.5 : 0.5 | 67.53 67.22 | 84.81 84.58 | 55.00 54.29
epce_0.7 | 0.7 : 0.7 : 0.7 | 67.79 67.32 | 84.81 84.63 | 55.63 55.44
""",
        ),
        _table(
            "XI",
            "AV-CANet from ImageNet's weights and from those learnt on eMotions",
            (EKMAN, VIDEO_EMOTION, MUSIC, IEMOCAP),
            SCORES,
            "avcanet",
            """
avcanet            | AV-CANet  | 55.63 55.44 | 49.53 48.24 | 84.81 84.63 | 68.73 68.73
avcanet < eMotions | AV-CANet† | 56.56 56.12 | 52.34 51.06 | 85.32 85.20 | 69.43 69.27
""",
        ),
        _table(
            "XII",
            "Initial weights of AV-CANet on e_T",
            ("e_T",),
            SCORES,
            "avcanet",
            """
avcanet                 | ImageNet [69] | 67.00 66.28
avcanet < Ekman6        | Ek6           | 66.30 65.76
avcanet < VideoEmotion8 | Ve8           | 64.80 64.20
avcanet < Music_video   | Mv            | 65.80 65.33
avcanet < IEMOCAP       | IEMOCAP       | 64.90 64.16
""",
        ),
        _table(
            "Fig7",
            "LGF in place of each audio-visual baseline's own fusion (the paper gives a plot only)",
            THREE,
            SCORES,
            "vaanet",
            """
vaanet                    | VAANet                | - - | - - | - -
vaanet_lgf                | VAANet + LGF          | - - | - - | - -
ogm_ge                    | OGM-GE                | - - | - - | - -
ogm_ge_lgf                | OGM-GE + LGF          | - - | - - | - -
msaf                      | MSAF                  | - - | - - | - -
msaf_lgf                  | MSAF + LGF            | - - | - - | - -
mmcosine                  | MMCosine              | - - | - - | - -
mmcosine_lgf              | MMCosine + LGF        | - - | - - | - -
resnet3d50_resnet34       | 3D-R50 + R34          | - - | - - | - -
resnet3d50_resnet34_lgf   | 3D-R50 + R34 + LGF    | - - | - - | - -
convnext_cspdarknet53     | ConvNeXt + C53        | - - | - - | - -
convnext_cspdarknet53_lgf | ConvNeXt + C53 + LGF  | - - | - - | - -
""",
        ),
        _table(
            "Fig8",
            "Pyramid layers and mask sizes (the paper gives a plot only)",
            THREE,
            SCORES,
            "levels_2",
            """
levels_1 | 1 layer           | - - | - - | - -
levels_2 | 2 layers          | - - | - - | - -
levels_3 | 3 layers          | - - | - - | - -
levels_4 | 4 layers          | - - | - - | - -
mask_1   | half-width 1      | - - | - - | - -
mask_2   | half-width 2      | - - | - - | - -
mask_4   | half-width 4      | - - | - - | - -
mask_8   | half-width 8      | - - | - - | - -
mask_all | the whole clip    | - - | - - | - -
""",
        ),
    )
}
