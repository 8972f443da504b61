"""The grammars for `agreement`: frames and fillers in Chinese and English."""

import itertools

from rnnlm.lab.agreement import Grammar

CHINESE = Grammar(
    space="",
    # The article's sentence, with any person, is used to question models, so they must not have read it.
    excluded=(frozenset({"上学", "迟到", "老师", "批评"}),),
    weights={"person": 2},
    frames=(
        # Agreement over short distances is learnt first, and helps to learn it over longer ones.
        ("person", "{S} {time} 把 {O} 的 {bag} 忘 在 {shop} 了 。"),
        ("person", "{S} 很 喜欢 {O} 的 {bag} 。"),
        ("person", "{S} 摔倒 了 ， {who} 扶起 了 {O} 。"),
        ("person", "{S} 哭 了 ， {other} 来 安慰 {O} 。"),
        ("person", "{S} {time} {deed} ， {who} {blamed} 了 {O} 。"),
        ("person", "{S} {time} {deed} ， {who} 知道 以后 {blamed} 了 {O} 。"),
        ("person", "{S} {time} {where} {deed} ， {news} ， {later} {who} {blamed} 了 {O} 。"),
        ("person", "{S} {time} 跟 {P} 一起 {where} 玩 ， {who} 却 只 {blamed} 了 {O} 。"),
        ("person", "{S} {time} 和 {P} 都 {fault} ， 可是 {who} 只 {blamed} 了 {O} 。"),
        ("person", "{S} 答应 {who} {hour} 以前 回家 ， 可是 {other} 等 了 很 久 ， 还是 没有 看见 {O} 。"),
        ("person", "虽然 {S} {time} {deed} ， 但是 {who} 并 没有 {blamed} {O} 。"),
        ("person", "{S} 忘 了 带 钥匙 ， 在 门口 等 了 {long} ， 最后 {who} 下班 回来 ， 才 给 {O} 开 了 门 。"),
        ("person", "{S} 下 个 星期 过生日 ， {who} 悄悄 地 准备 了 {gift} ， 打算 到 那天 送 给 {O} 。"),
        ("person", "{S} {time} 病 了 ， 没有 去 上课 ， {other} 放学 以后 马上 来 看 {O} 。"),
        ("person", "{S} 在 {city} 工作 ， 很 少 回家 ， {who} 每 到 {feast} 都 特别 想 {O} 。"),
        ("thing", "{who} {time} 买 了 {S} 两 {O} 。"),
        ("thing", "{S} {gone} ， 要 再 买 一 {O} 。"),
        ("thing", "{owner} 的 {S} 太 旧 了 ， 想 换 一 {O} 新 的 。"),
        ("thing", "{owner} 的 {S} {gone} ， {who} 说 {when} 再 买 一 {O} 新 的 。"),
        ("thing", "{owner} 的 {S} {gone} ， 修 了 {long} 也 没 修好 ， 只好 {when} 去 {shop} 买 一 {O} 新 的 。"),
        ("thing", "{shop} 里 的 {S} 又 好看 又 便宜 ， {who} 挑 了 {long} ， 最后 买 了 两 {O} 。"),
        ("mark", "{who} 在 {paper} 上 写 了 {S} {clause} {O} 。"),
        ("mark", "{who} 在 {paper} 上 看见 {S} {clause} ， {clause2} {O} 几 个 字 。"),
    ),
    forms={
        "person": [
            *((each, each) for each in ("我", "你", "他", "她", "我们", "你们", "他们", "她们")),
            *(("妹妹", "她"), ("弟弟", "他")),
        ],
        "thing": [
            *(("电脑", "台"), ("洗衣机", "台"), ("自行车", "辆"), ("汽车", "辆"), ("词典", "本"), ("小说", "本")),
            *(("毛衣", "件"), ("衬衫", "件"), ("皮鞋", "双"), ("袜子", "双")),
        ],
        "mark": [("“", "”"), ("《", "》"), ("（", "）")],
    },
    fillers={
        "time": ["昨天", "今天", "前天", "早上", "下午", "上 个 星期", "星期一", "昨天 晚上", "刚才", "前 几天"],
        "deed": [
            *("上学 迟到 了", "上课 说话", "把 窗户 打破 了", "弄丢 了 钥匙", "撕坏 了 课本", "没有 打扫 教室"),
            *("忘 了 带 作业", "考试 没 考 好", "在 走廊 里 跑", "没有 来 上课", "把 饭菜 倒 掉 了", "弄脏 了 新 衣服"),
            *(
                "帮 邻居 搬 东西",
                "救 了 一只 小猫",
                "得 了 第一 名",
                "把 花瓶 摔碎 了",
                "在 墙 上 乱 画",
                "没有 说 实话",
            ),
        ],
        "fault": ["迟到 了", "忘 了 写 作业", "没有 关 窗户", "睡 过 了 头", "走错 了 路", "弄湿 了 鞋子"],
        "who": ["老师", "妈妈", "爸爸", "校长", "班长", "爷爷", "奶奶", "经理", "教练", "邻居", "阿姨", "叔叔"],
        "other": ["姐姐", "哥哥", "同学", "朋友", "同事", "外婆"],
        "owner": ["小李", "老张", "王老师", "外公", "同桌", "表哥"],
        "blamed": ["批评", "责备", "原谅", "帮助", "提醒", "安慰", "表扬", "埋怨", "鼓励", "教训"],
        "where": ["在 学校 里", "在 操场 上", "在 教室 里", "在 公园 里", "在 院子 里", "在 图书馆 里", "在 马路 上"],
        "news": [
            *(
                "事情 很 快 传 到 了 办公室",
                "大家 都 看见 了 这 件 事",
                "后来 全班 都 知道 了",
                "这 件 事 让 人 很 意外",
            ),
            *("消息 传 得 非常 快", "旁边 的 人 都 不 说话", "正好 有 人 从 那里 经过"),
        ],
        "later": ["放学 以后", "晚上 吃饭 的 时候", "第二天 早上", "下课 以后", "回到 家 里", "过 了 一会儿"],
        "hour": ["六点", "七点", "八点", "晚饭", "天黑"],
        "long": ["半天", "两 个 小时", "很 久", "一个 下午", "好 几 天"],
        "gift": ["一个 大 蛋糕", "一束 花", "一份 礼物", "一件 衣服", "一张 卡片"],
        "bag": ["书包", "帽子", "雨伞", "手套", "新 鞋子", "照片", "房间", "自行车", "生日 礼物", "课本"],
        "city": ["上海", "北京", "广州", "外地", "国外", "南方"],
        "feast": ["春节", "中秋节", "周末", "过年", "生日"],
        "gone": ["坏 了", "丢 了", "被 人 拿走 了", "旧 得 不 能 用 了", "被 雨 淋坏 了", "找 不 到 了"],
        "when": ["下 个 月", "明天", "周末", "等 发 了 工资", "过 几天", "放假 以后"],
        "paper": ["黑板", "纸条", "日记本", "信封", "墙", "第一页"],
        "clause": ["明天 开会", "今天 不 上课", "我 爱 我 家", "下 雨 的 日子", "春天 来 了", "请 随手 关 门"],
        "clause2": ["大家 早点 来", "谢谢 你 的 帮助", "路上 小心", "一 个 也 不 能 少", "好好 休息"],
        "shop": ["商店", "市场", "商场", "超市", "网上 的 店"],
    },
)

ENGLISH = Grammar(
    space=" ",
    frames=(
        ("owner", "{S} lost {O} {bag} {time} ."),
        ("owner", "{S} {time} left {O} {bag} {where} ."),
        ("person", "{S} fell , and the {who} helped {O} ."),
        ("person", "{S} called {time} , but nobody heard {O} ."),
        ("person", "{S} {deed} {time} , and the {who} {blamed} {O} ."),
        ("person", "{S} {deed} {time} , and when the {who} heard about it , he {blamed} {O} ."),
        ("person", "{S} {deed} {where} {time} , {news} , and {later} the {who} {blamed} {O} ."),
        ("person", "{S} {deed} together with {Q} {time} , but the {who} only {blamed} {O} ."),
        (
            "person",
            "{S} had promised to be home by {hour} , but when the {who} looked out of the window , nobody saw {O} .",
        ),
        ("person", "Although {S} {deed} {time} , in the end nobody {where} {blamed} {O} ."),
        ("person", "{S} forgot the key and waited at the door for {long} until the {who} came home and let {O} in ."),
        ("person", "{S} will have a birthday next week , and the {who} has already bought {gift} for {O} ."),
        ("person", "{S} worked far away in {city} , and every {feast} the whole family {where} missed {O} ."),
        ("number", "The {S} {O} {state} ."),
        ("number", "In the end the {S} {O} {state} , and nobody knew why ."),
        ("number", "The {S} {where} {O} {state} ."),
        ("number", "The {S} that the {who} {put} {where} {time} {O} {state} ."),
        ("number", "The {S} which nobody had seen {where} for {long} {O} {state} ."),
        ("number", "The {S} {where} , which the {who} had bought in {city} {time} , {O} {state} ."),
        ("tense", "{S} the {who} {O} {where} ."),
        ("tense", "{S} everything {where} {O} {state} ."),
        ("tense", "{S} , as the {who} said to everybody {where} , the weather {O} very good ."),
    ),
    forms={
        "person": [("I", "me"), ("you", "you"), ("he", "him"), ("she", "her"), ("we", "us"), ("they", "them")],
        "owner": [("I", "my"), ("you", "your"), ("he", "his"), ("she", "her"), ("we", "our"), ("they", "their")],
        "number": [
            *(("key", "was"), ("keys", "were"), ("book", "was"), ("books", "were"), ("letter", "was")),
            *(("letters", "were"), ("lamp", "was"), ("lamps", "were"), ("box", "was"), ("boxes", "were")),
        ],
        "tense": [
            *(("yesterday", "was"), ("last week", "was"), ("last summer", "was")),
            *(("now", "is"), ("today", "is"), ("these days", "is")),
        ],
    },
    fillers={
        "time": ["yesterday", "today", "this morning", "last week", "on Monday", "the day before", "on Sunday"],
        "deed": [
            *(
                "broke the window",
                "lost the keys",
                "came late",
                "talked too much",
                "forgot the letters",
                "tore the book",
            ),
            *("did not clean the room", "missed the ferry", "burned the bread", "spilled the tea", "carried the boxes"),
            *("helped the old sailor", "found a lost dog", "won the race", "told the truth", "left the lamp on"),
        ],
        "who": ["teacher", "captain", "baker", "doctor", "keeper", "driver", "nurse", "mayor", "neighbour", "clerk"],
        "blamed": ["scolded", "forgave", "helped", "reminded", "comforted", "praised", "blamed", "thanked", "warned"],
        "where": [
            "in the kitchen",
            "at the school",
            "on the pier",
            "in the shop",
            "at the station",
            "near the harbour",
        ],
        "news": [
            *("everybody saw it", "the news travelled fast", "it was a great surprise", "people talked about it"),
            *("nobody said a word", "the whole town soon knew"),
        ],
        "later": ["after supper", "the next morning", "in the evening", "an hour later", "on the way home"],
        "hour": ["six", "seven", "supper", "nightfall", "noon"],
        "long": ["an hour", "half the night", "two hours", "a long time", "three days"],
        "gift": ["a cake", "a small present", "a new coat", "some flowers", "a book"],
        "city": ["the city", "the north", "another town", "the capital"],
        "feast": ["winter", "Sunday", "summer", "Christmas"],
        "bag": ["bag", "hat", "keys", "umbrella", "gloves", "old coat", "letters", "new shoes"],
        "put": ["left", "put", "found", "hid", "lost"],
        "state": ["gone", "broken", "wet", "dirty", "ready", "too heavy", "very old"],
    },
)
GRAMMARS = {"zh": CHINESE, "en": ENGLISH}


def _of_all_distances(begin: str, end: str, slots: str) -> list[tuple[str, str]]:
    """Return frames with every subset of some slots between a beginning and an end."""
    choices = itertools.product(*(("", f"{slot} ") for slot in slots.split(" ")))
    return [("person", f"{begin} {''.join(chosen)}{end}") for chosen in choices]


# The sentences of `rnnlm lab memory`: the slots have 1, 2, 3, 5 and 7 words, so that their subsets give all distances
# from 2 to 20.
CHINESE_DISTANCES = Grammar(
    space=" ",
    frames=_of_all_distances("{S}", "{verb} {O} 的 {noun} 。", "{one} {two} {three} {seven} {five}"),
    forms={"person": [(each, each) for each in ("我", "你", "他", "她", "我们", "他们")]},
    fillers={
        "one": ["昨天", "今天", "早上", "终于"],
        "two": ["和 同学", "跟 老师", "同 朋友", "和 妈妈"],
        "three": ["在 学校 里", "在 车站 上", "在 公园 里", "在 商店 里"],
        "five": ["因为 外面 下 大 雨", "趁 大家 还 没 来", "因为 天气 一直 不 好", "趁 别人 都 在 休息"],
        "seven": ["， 想 了 很 久 以后 ，", "， 问 了 好 几 次 ，", "， 等 到 天 黑 了 ，", "， 走 了 半天 的 路 ，"],
        "verb": ["找到", "卖掉", "弄丢", "拿走", "忘记", "看见"],
        "noun": ["书包", "雨伞", "自行车", "帽子", "钥匙", "照片"],
    },
)
ENGLISH_DISTANCES = Grammar(
    space=" ",
    frames=_of_all_distances("{S}", "{verb} {O} {noun} .", "{one} {seven} {two} {three} {five}"),
    forms={
        "person": [("I", "my"), ("you", "your"), ("he", "his"), ("she", "her"), ("we", "our"), ("they", "their")],
    },
    fillers={
        "one": ["finally", "suddenly", "quietly", "soon"],
        "two": ["last Monday", "this morning", "one evening", "last summer"],
        "three": ["in the park", "at the station", "on the bus", "near the school"],
        "five": [
            "because of the heavy rain",
            "while nobody else was there",
            "with some help from friends",
            "after the end of school",
        ],
        "seven": [
            ", after a long tiring day ,",
            ", as everybody in town expected ,",
            ", with hardly any hope left ,",
            ", to the surprise of all ,",
        ],
        "verb": ["found", "sold", "lost", "forgot", "saw", "painted"],
        "noun": ["bag", "umbrella", "bicycle", "hat", "keys", "picture"],
    },
)
DISTANCES = {"zh": CHINESE_DISTANCES, "en": ENGLISH_DISTANCES}
