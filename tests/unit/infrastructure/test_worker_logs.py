"""What a worker logged is read where its test failed, and nowhere else."""

import pytest

pytest_plugins = ["pytester"]
CONFTEST = "from tests.connected.worker_logs import pytest_runtest_makereport"
TESTS = """
def test_failing(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "shards.log").write_text("first words\\n" + "more words\\n" * 99 + "last words\\n")
    assert False

def test_passing(tmp_path):
    (tmp_path / "shards.log").write_text("all is well")
"""


def test_the_end_of_each_workers_log_is_under_the_report_of_a_test_that_failed(pytester: pytest.Pytester):
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*the end of */logs/shards.log*", "more words", "last words"])
    result.stdout.no_fnmatch_line("first words")
    result.stdout.no_fnmatch_line("all is well")
