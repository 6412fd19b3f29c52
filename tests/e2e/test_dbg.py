from pipeline.story import story_of
from pipeline.story.traces import history_of
def test_dbg(pipeline):
    o = pipeline.run(b"", "nothing.json")
    s = story_of(pipeline.place, o.upload.batch_id)
    with open('/tmp/dbg.txt','w') as f:
        for e in history_of(pipeline.place, o.upload.execution_arn): print(e, file=f)
        for st in s.latest.steps: print(st, file=f)
        print({k: v.get('Catch') for k, v in s.definition['States'].items()}, file=f)
