"""The sentiment quotient test (Sec. III-B): short scenes and the emotion that most people in them would feel.

Four scenes per emotion, written for this project; each in English and Simplified Chinese.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scene:
    key: str
    en: str
    zh_hans: str
    emotion: str


_SCENES = {
    "Excitation": [
        ("The last second runs out, the ball is in, and the whole stand jumps up with her.", "最后一秒，球进了，整个看台和她一起跳了起来。"),
        ("He opens the door and all his friends shout: happy birthday!", "他推开门，所有朋友齐声喊道：生日快乐！"),
        ("The roller coaster tips over the edge and both of them scream with laughter.", "过山车冲下最高点，两个人又叫又笑。"),
        ("She reads the letter twice: the school of her dreams has taken her.", "她把信读了两遍：梦想的学校录取了她。"),
    ],
    "Fear": [
        ("Alone at home at night, he hears the handle of the cellar door turn slowly.", "深夜独自在家，他听见地下室的门把手慢慢转动。"),
        ("The rope slips, and below her there is nothing but rock.", "绳子一滑，她的脚下只有岩石。"),
        ("Something large brushes against the swimmer's leg in dark water.", "漆黑的水里，有什么庞然大物擦过游泳者的腿。"),
        ("The child turns round in the crowd and nobody there is known to it.", "孩子在人群中回头，身边没有一个认识的人。"),
    ],
    "Neutral": [
        ("A man reads the opening hours of the library aloud.", "一个男人念出图书馆的开放时间。"),
        ("A box is folded, taped and put on a shelf.", "一个纸箱被折好、封上胶带、放到架子上。"),
        ("Cars pass a crossing at noon on an ordinary day.", "平常的一天中午，车辆驶过路口。"),
        ("The voice explains where the settings menu is.", "旁白说明设置菜单在哪里。"),
    ],
    "Relaxation": [
        ("Rain falls on the tent; the tea is warm and nothing has to be done.", "雨落在帐篷上，茶还温热，什么事都不用做。"),
        ("The cat sleeps on her lap while a slow song plays.", "慢歌响着，猫在她腿上睡着了。"),
        ("After the long walk they let their feet hang in the cool stream.", "走了很久的路，他们把脚放进清凉的溪水里。"),
        ("The sea is flat, the sun goes down, and the boat hardly moves.", "海面平静，太阳西沉，小船几乎不动。"),
    ],
    "Sadness": [
        ("The old man sets two cups on the table, then puts one back.", "老人在桌上摆了两只杯子，又把其中一只放了回去。"),
        ("She waves until the train cannot be seen any more.", "她一直挥手，直到火车再也看不见。"),
        ("The dog lies by the door where its owner will not come home again.", "狗趴在门边，而它的主人再也不会回来。"),
        ("He finds his late mother's handwriting in a cook book.", "他在菜谱里看到已故母亲的字迹。"),
    ],
    "Tension": [
        ("Two drivers stand face to face in the road and shout at each other.", "两个司机站在路中间，面对面互相吼叫。"),
        ("The exam ends in a minute and three questions are still empty.", "考试还剩一分钟，三道题仍是空白。"),
        ("For the third time tonight the neighbour's drill starts again.", "今晚第三次，邻居的电钻又响了起来。"),
        ("His boss reads the report in silence and lays down the pen.", "老板默默读完报告，放下了笔。"),
    ],
}  # fmt: skip
SCENES = tuple(
    Scene(f"{emotion.lower()}-{number}", en, zh_hans, emotion)
    for emotion, scenes in _SCENES.items()
    for number, (en, zh_hans) in enumerate(scenes, start=1)
)
BY_KEY = {scene.key: scene for scene in SCENES}
