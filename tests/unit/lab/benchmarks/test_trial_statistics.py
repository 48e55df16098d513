from services.lab.benchmarks.trial_statistics import heavy_rows, sequence_rows, skewed_rows


def test_trials_of_equal_rankings_promote_as_seldom_as_stated():
    for row in sequence_rows(0.0, trials=150):
        assert row.value < 0.025 + 4 * (0.025 * 0.975 / 150) ** 0.5, row.name


def test_only_who_counts_by_client_keeps_the_error_where_some_come_often():
    shares = {row.name: row.value for row in heavy_rows(trials=60, sessions_each=2_000)}
    assert shares["heavy shoppers, preference +0%, by client, the first 10 (ours)"] < 0.1
    ours = shares["heavy shoppers, preference +6%, by client, the first 10 (ours)"]
    assert ours > shares["heavy shoppers, preference +6%, by client, the first alone"]


def test_few_who_speak_against_many_do_not_break_the_error():
    usual, ours = (row.value for row in skewed_rows(trials=400))
    assert usual > 3 * 0.025
    assert ours <= 0.025
