"""Beam's FnApiRunner with workers as threads and as processes, and a function that fails."""

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from workload import say


class _Fail(beam.DoFn):
    def process(self, element):
        if element == 7:
            raise ValueError("as told")
        yield element


def _run(mode, build):
    options = PipelineOptions(
        runner="FnApiRunner",
        direct_running_mode=mode,
        direct_num_workers=2,
        environment_type=None,
    )
    options.view_as(DirectOptions)
    pipeline = beam.Pipeline("apache_beam.runners.portability.fn_api_runner.FnApiRunner", options)
    build(pipeline)
    return pipeline.run().wait_until_finish()


def _count(mode):
    def build(pipeline):
        words = pipeline | beam.Create([f"word{number % 10}" for number in range(2000)])
        counted = words | beam.combiners.Count.PerElement() | beam.combiners.ToList()
        counted | beam.Map(sorted) | beam.io.WriteToText(f"counted-{mode}", "", "")

    def lines():
        import glob

        return [open(name).read().strip() for name in sorted(glob.glob(f"counted-{mode}*"))]

    state = _run(mode, build)
    say(mode, state, lines())


def _fails(mode):
    try:
        _run(mode, lambda p: p | beam.Create(range(20)) | beam.ParDo(_Fail()))
    except Exception as error:
        say(mode, "fails", "as told" in str(error))


if __name__ == "__main__":
    for mode in ("multi_threading", "multi_processing"):
        _count(mode)
        _fails(mode)
