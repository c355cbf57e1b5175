"""The words of the made-up posts: topics, titles, names, and titles that are unsafe or awkward on purpose."""

TOPICS: dict[str, dict[str, tuple[str, ...]]] = {
    "zh": {
        "Excitation": ("高燃混剪", "篮球绝杀", "婚礼惊喜", "街舞挑战", "冲线时刻"),
        "Fear": ("密室逃脱", "深海恐惧", "午夜怪谈", "悬崖秋千"),
        "Neutral": ("手机测评", "早餐做法", "办公桌面", "地铁通勤", "木工教程"),
        "Relaxation": ("海边日落", "森林白噪音", "猫咪午睡", "茶园清晨"),
        "Sadness": ("毕业离别", "老屋回忆", "深夜独白", "再见列车"),
        "Tension": ("拆弹实录", "决赛点球", "倒计时挑战", "暴雨救援"),
    },
    "en": {
        "Excitation": ("buzzerbeater", "dancebattle", "surpriseparty", "goalcelebration", "hypeedit"),
        "Fear": ("hauntedhallway", "deepseafear", "escaperoom", "cliffswing"),
        "Neutral": ("desksetup", "breakfastprep", "unboxing", "commutediary", "woodworking"),
        "Relaxation": ("sunsetwaves", "rainsounds", "sleepycat", "teagarden"),
        "Sadness": ("lastgoodbye", "emptyhouse", "missinghome", "farewelltrain"),
        "Tension": ("bombdefuse", "penaltyshootout", "countdownrun", "stormrescue"),
    },
}
GENERAL = {"tiktok": "foryoupage", "douyin": "上热门", "kuaishou": "快手日常"}

TITLES: dict[str, dict[str, tuple[str, ...]]] = {
    "zh": {
        "Excitation": (
            "最后三秒逆转全场",
            "全场一起跳起来",
            "看完直接起鸡皮疙瘩的名场面",
            "他们等这一刻等了四年",
            "气氛一下子炸开了",
            "朋友推门进来的瞬间",
        ),
        "Fear": ("走廊尽头好像有人", "下潜到一百米以后", "灯灭了之后别回头", "第一次来这里腿都软了", "那扇门自己开了"),
        "Neutral": ("今天的桌面整理", "三分钟做一份早餐", "新机开箱不吹不黑", "上班路上随手拍", "榫卯是这样拼的", "周末采购清单"),
        "Relaxation": ("听着海浪睡着了", "把脚步放慢一点", "雨落在屋檐上", "猫在窗台打盹", "茶山的第一缕光"),
        "Sadness": ("我们就送到这里吧", "老房子明天就拆了", "写给没能说再见的人", "车窗外的人越来越小", "奶奶的座位还空着"),
        "Tension": ("还剩十秒，线还没剪断", "最后一个点球", "水位还在上涨", "全队都不敢呼吸", "倒数三、二、一"),
    },
    "en": {
        "Excitation": (
            "From the halfway line at the buzzer",
            "Nobody expected her to walk in",
            "The whole street is dancing",
            "Best comeback of the season",
            "Watch the crowd at 0:04",
        ),
        "Fear": (
            "Do not look behind the door",
            "One hundred metres down",
            "Something moved in the hallway",
            "The lights went out again",
            "I heard it too",
        ),
        "Neutral": (
            "My desk after one year",
            "Toast, eggs, done",
            "What is in the box",
            "Morning commute, nothing special",
            "How this joint fits together",
        ),
        "Relaxation": (
            "Ten quiet seconds of waves",
            "Rain on a tin roof",
            "He sleeps here every day",
            "First light over the tea hills",
            "Breathe in, breathe out",
        ),
        "Sadness": (
            "They sold the house today",
            "Her chair is still here",
            "This was the last train",
            "For the friend I never called",
            "Packing the last box",
        ),
        "Tension": (
            "Ten seconds and one wire left",
            "The final penalty",
            "The water keeps rising",
            "Hold your breath with us",
            "Three, two, one",
        ),
    },
}

# Planted for the text screen; written in the plain, the spaced and the look-alike way.
UNSAFE_TITLES = (
    "成人色情视频免费看 加微信",
    "F r e e  p.o.r.n inside, n s f w",
    "血腥砍人现场实拍 慎入",
    "p0rn c1ip lеaked uncensored",  # the e of "leaked" is Cyrillic
    "裸 聊 直 播 约 炮",
    "graphic murder beheading footage gore",
)

# Awkward but harmless: each must arrive as it is and be kept.
TRAP_TITLES = (
    "🔥🔥 今天也要开心呀 👩‍👩‍👧‍👦\u200b\u200d ✨",  # emoji, joiners, zero width
    "مرحبا بالعالم \u202eright to left\u202c שלום",
    "../../etc/passwd\\..\\<b>粗体</b> & \"引号\" 'q' %2F %u4e2d",
    'she said "</script><script>alert(1)</script>" };{ [ function(){} ]; ]]>',
    "空字符\u0000在中间 tab\there",
    "很长的标题 " + "长" * 1990,
    "@someone 电话 13800138000 see //example.com/a?b=1&amp;c=2 \\u4e2d",
)

NAMES = (
    "小鹿",
    "阿泽",
    "大雄日记",
    "Mia",
    "northside",
    "木子",
    "城南旧事",
    "kaito",
    "山野",
    "Lena",
    "老周修车",
    "gogo",
    "一只鹿",
    "夜航船",
    "Tom & Co",
    "青柠",
)
HANDLES = (
    "xiaolu",
    "aze.films",
    "daxiong",
    "mia_moves",
    "northside.fc",
    "muzi",
    "chengnan",
    "kaito_cuts",
    "shanye",
    "lenawalks",
    "laozhou",
    "gogogo",
)
TRACKS = ("原声", "original sound", "Night Drive", "海阔天空 片段", "Slow River", "鼓点")
