"""A text of a few words, and options for a network that learns it in a second."""

SENTENCES = [
    "我 昨天 上学 迟到 了 ， 老师 批评 了 我 。",
    "他 今天 上学 迟到 了 ， 妈妈 批评 了 他 。",
    "我 的 手机 坏 了 ， 我 打算 买 一部 新 手机 。",
    "弟弟 的 书包 坏 了 ， 他 打算 换 一个 新 书包 。",
]
SMALL = ["--hidden-size", "12", "--embedding-size", "6", "--bptt", "8", "--batch-size", "4", "--threads", "1"]
