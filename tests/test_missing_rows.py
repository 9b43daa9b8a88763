from sbi_pipeline.campaigns.missing_rows import missing_rows
from sbi_pipeline.campaigns.tasks import Gaps
from sbi_pipeline.storage.layout import Layout


def test_what_is_missing_are_the_gaps_between_committed_rows():
    layout = Layout("k", 0, ("a",), (1,), "float64", 100)
    done = {0: {"stop": 100}, 100: {"stop": 130}, 150: {"stop": 160}, 300: {"stop": 350}}
    assert missing_rows(layout, 380, done) == [
        Gaps(((130, 150), (160, 200))),
        Gaps(((200, 300),)),
        Gaps(((350, 380),)),
    ]
    assert missing_rows(layout, 100, done) == []
