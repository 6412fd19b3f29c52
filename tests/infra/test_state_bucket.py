"""The lifecycle rules of the bucket with Terraform's state."""

from tests.infra.conftest import Run


def test_old_states_are_kept_for_90_days_and_the_last_ten_always(bootstrap_plan: Run) -> None:
    [lifecycle] = bootstrap_plan.planned("aws_s3_bucket_lifecycle_configuration").values()
    rules = {rule["id"]: rule for rule in lifecycle["rule"]}
    [old] = rules["old-states"]["noncurrent_version_expiration"]
    assert (old["noncurrent_days"], old["newer_noncurrent_versions"]) == (90, 10)
    assert rules["old-states"]["expiration"] == [], "a current state must never be deleted"


def test_only_the_states_of_smoke_tests_are_deleted_after_a_week(bootstrap_plan: Run) -> None:
    [lifecycle] = bootstrap_plan.planned("aws_s3_bucket_lifecycle_configuration").values()
    [smoke] = [rule for rule in lifecycle["rule"] if rule["id"] == "smoke"]
    [noncurrent] = smoke["noncurrent_version_expiration"]
    assert noncurrent["noncurrent_days"] == 7
    assert [filter_["prefix"] for filter_ in smoke["filter"]] == ["order-pipeline/smoke/"]
