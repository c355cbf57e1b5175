"""Words that make a person look at a title: sexual, violent, hateful, self-harm and drug terms in English and Chinese.

A hit never drops a video by itself. Written for recall on what people hide (spaces, homoglyphs, digits for letters, zero-width
characters, traditional characters, pinyin) and for silence on harmless twins ("kill the lights"), which are listed as such.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

# Stems end in *, which matches any ending. Phrases are written with single spaces.
ENGLISH: dict[str, tuple[str, ...]] = {
    "sexual": (
        "porn*", "nude*", "nudity", "nsfw", "xxx", "sex tape", "sex video*", "onlyfans leak*", "hentai", "blowjob*", "masturbat*", "escort service*",
        "naked girl*", "naked boy*", "naked teen*", "strip naked", "upskirt", "camgirl*", "hardcore sex", "child porn*", "incest",
    ),
    "violence": (
        "kill you", "kill him", "kill her", "kill them", "kill all", "kill everyone", "behead*", "beheading", "gore", "gory", "torture*", "massacre*",
        "murder*", "stab", "stabbed", "stabbing*", "shoot up", "mass shooting*", "school shooting*", "execution video*", "dismember*", "bloodbath",
        "bomb making", "make a bomb", "how to make bombs", "terrorist attack*", "snuff film*", "snuff video*", "animal cruelty", "brutal beating", "beaten to death",
        "blood everywhere", "bloody corpse*", "dead body", "rape", "raped", "raping", "rapist*",
    ),
    "hate": (
        "white power", "white supremac*", "heil hitler", "nazi*", "neo nazi*", "gas the jews", "subhuman*", "ethnic cleansing", "racial purity",
        "nigger*", "nigga hater*", "chink", "chinks", "kike", "kikes", "faggot*", "tranny", "wetback*", "go back to your country", "inferior race",
        "genocide now", "kill all jews", "kill all muslims", "hate all muslims", "hate all jews", "race traitor*", "gook", "gooks",
    ),
    "self-harm": ("suicide", "kill myself", "killing myself", "cut myself", "cutting myself", "self harm", "selfharm", "how to die", "want to die", "hang myself", "overdose challenge"),
    "drugs": ("cocaine", "heroin", "methamphetamine", "crystal meth", "buy weed", "buy drugs", "fentanyl", "ecstasy pills"),
}  # fmt: skip
CHINESE: dict[str, tuple[str, ...]] = {
    "sexual": (
        "色情", "裸聊", "裸体", "裸照", "全裸", "黄片", "成人视频", "成人影片", "约炮", "援交", "卖淫", "嫖娼", "招嫖", "性交易", "性爱视频", "口交", "强奸", "轮奸", "乱伦",
        "偷拍裙底", "裙底", "无码", "毛片", "自慰", "露点", "春药", "迷奸", "福利姬",
    ),
    "violence": (
        "杀人", "砍人", "砍死", "打死你", "杀了你", "弄死你", "血腥", "斩首", "分尸", "虐杀", "虐待", "屠杀", "凶杀", "爆头", "肢解", "碎尸", "暴力殴打", "群殴",
        "恐怖袭击", "制作炸弹", "自制炸弹", "枪击", "持刀砍", "活埋", "虐猫", "虐狗", "校园暴力", "往死里打",
    ),
    "hate": ("支那", "黑鬼", "劣等民族", "劣等种族", "种族灭绝", "纳粹", "希特勒万岁", "白人至上", "滚回你的国家", "杀光", "去死吧黑", "死基佬", "死人妖", "尼哥", "棒子去死", "鬼子去死"),
    "self-harm": ("自杀", "割腕", "自残", "跳楼直播", "不想活了", "想死", "轻生"),
    "drugs": ("冰毒", "海洛因", "吸毒", "贩毒", "摇头丸", "大麻", "可卡因", "毒品"),
}  # fmt: skip
PINYIN: dict[str, tuple[str, ...]] = {
    "sexual": ("seqing", "luoliao", "yuepao", "huangpian", "maipian", "qiangjian", "luanlun", "luoti"),
    "violence": ("sharen", "kanren", "xuexing", "zhanshou", "fenshi", "tusha", "baotou", "nuesha", "nvesha"),
    "hate": ("heigui", "zhina", "nacui", "zhongzumiejue", "liedengminzu"),
    "self-harm": ("zisha", "gewan", "zican"),
    "drugs": ("bingdu", "xidu", "dupin", "hailuoyin"),
}
# Harmless phrases that hold a listed word; taken out before looking.
HARMLESS = (
    "kill the lights", "kill time", "killing time", "dressed to kill", "killer heels", "killer outfit", "killing it", "murder mystery", "murder on the dance*",
    "nude lipstick*", "nude palette*", "nude nail*", "nude heels", "nude make*", "nude colo*", "suicide squad", "photo bomb*", "bath bomb*", "shoot a video", "photo shoot",
    "grape", "sussex", "essex", "middlesex", "assassin s creed", "al gore", "gore tex", "chink in", "not a suicide", "suicide prevention", "nazi germany history", "anti nazi",
    "gore verbinski", "sex education season*", "torture chamber escape room", "cutting board", "stab in the dark", "stab at", "rape seed", "rapeseed",
    "杀青", "杀价", "杀手锏", "秒杀", "抹杀", "杀毒", "杀菌", "笑死", "饿死", "累死", "想死你", "想死我", "可爱死", "美死了", "裸辞", "裸婚", "裸妆", "裸色", "反毒品", "禁毒",
    "远离毒品", "拒绝校园暴力", "反校园暴力", "大麻花", "大麻烦", "大麻袋", "无码头", "中国血腥玛丽", "血腥玛丽", "预防自杀", "杀人游戏", "狼人杀", "剧本杀", "拒绝毒品", "抗癌",
)  # fmt: skip
HOMOGLYPHS = str.maketrans(
    "аеорсухівкмнтзѕјԁɡｌΑΒΕΖΗΙΚΜΝΟΡΤΥΧαεικνορτυχßøłđħıƙɑ",
    "aeopcyxibkmhtesjdglABEZHIKMNOPTYXaeiknoptyxboldhika",
)
LEET = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "|": "l", "€": "e"})
TRADITIONAL = str.maketrans(
    "殺強亂倫淫賣約砲處級體視頻無碼錄槍擊製彈殘飲槍虐屍爆頭種滅絕納萬歲優國輪姦姦鬥劣權毆傷燒樓輕凶兇貓對黃賤藥",
    "杀强乱伦淫卖约炮处级体视频无码录枪击制弹残饮枪虐尸爆头种灭绝纳万岁优国轮奸奸斗劣权殴伤烧楼轻凶凶猫对黄贱药",
)
INVISIBLE = {"Cf", "Cc", "Mn", "Me", "Cs", "Co"}
SEPARATED = re.compile(r"(?<![a-z0-9])(?:[a-z0-9@$!|][\s.\-_*·•/\\+~,'’]{1,3}){2,}[a-z0-9@$!|](?![a-z0-9])")
HAN_GAP = re.compile(r"(?<=[\u4e00-\u9fff])[\s.\-_*·•/\\+~,，。、|#!！]{1,3}(?=[\u4e00-\u9fff])")


@dataclass(frozen=True)
class Hit:
    category: str
    word: str


def plain(text: str) -> str:
    """The text as a reader sees it: one form per letter, no invisible signs, traditional characters made simple, lower case."""
    text = unicodedata.normalize("NFKC", text)
    text = "".join(sign for sign in unicodedata.normalize("NFD", text) if unicodedata.category(sign) not in INVISIBLE or sign in "\n\t")
    return unicodedata.normalize("NFC", text).casefold().translate(HOMOGLYPHS).casefold().translate(TRADITIONAL)


def joined(text: str) -> str:
    """The plain text with letters that were set apart put together again: "k i l l", "杀 人"."""
    text = SEPARATED.sub(lambda match: re.sub(r"[\s.\-_*·•/\\+~,'’]", "", match.group()), text)
    return HAN_GAP.sub("", text)


def readings(text: str) -> list[str]:
    """What a reader may make of the text: as it is, joined, and with digits read as letters; words one space apart."""
    base = plain(text)
    forms = [base, joined(base), joined(base.translate(LEET)), base.translate(LEET)]
    return list(dict.fromkeys(re.sub(r"[\W_]+", " ", form).strip() for form in forms))


def screen(title: str, hashtags: tuple[str, ...] = ()) -> list[Hit]:
    """Every listed word in a title or its hashtags, each once. Empty for clean text."""
    found: dict[str, Hit] = {}
    for text in [title, *hashtags]:
        for form in readings(text):
            calm = harmless().sub(" ", form)
            for category, pattern in patterns():
                for match in pattern.finditer(calm):
                    found.setdefault(match.group().strip(), Hit(category, match.group().strip()))
    return list(found.values())


@cache
def patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    listed = []
    for category in ENGLISH:
        words = "|".join(spelled(word) for word in (*ENGLISH[category], *PINYIN.get(category, ())))
        listed.append((category, re.compile(rf"(?<![a-z0-9])(?:{words})(?![a-z0-9])")))
        listed.append((category, re.compile("|".join(map(re.escape, CHINESE[category])))))
    return tuple(listed)


@cache
def harmless() -> re.Pattern[str]:
    words = [spelled(word) if word.isascii() else re.escape(word) for word in sorted(HARMLESS, key=len, reverse=True)]
    return re.compile("|".join(rf"(?<![a-z0-9]){word}(?![a-z0-9])" if word.isascii() else word for word in words))


def spelled(word: str) -> str:
    """A pattern for a word or phrase: * is any ending, letters of one word may be joined to the next."""
    return re.escape(word.removesuffix("*")).replace(r"\ ", " ?") + (r"[a-z]*" if word.endswith("*") else "")
