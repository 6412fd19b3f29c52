# On the embedded AWS only, which does not tell its IAM what these calls are about: there they must be allowed on
# everything. What the policy itself allows is tested in tests/infra/test_analysts.py.

data "aws_iam_policy_document" "analyst_embedded" {
  statement {
    actions = [
      "athena:BatchGetNamedQuery",
      "athena:GetDataCatalog",
      "athena:GetDatabase",
      "athena:GetNamedQuery",
      "athena:GetQueryExecution",
      "athena:GetQueryResults",
      "athena:GetTableMetadata",
      "athena:ListDatabases",
      "athena:ListNamedQueries",
      "athena:ListTableMetadata",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "analyst_embedded" {
  name   = "embedded"
  role   = aws_iam_role.analyst.id
  policy = data.aws_iam_policy_document.analyst_embedded.json
}
