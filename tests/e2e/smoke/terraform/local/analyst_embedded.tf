# Only for the embedded AWS, which authorizes these calls without a resource: there they must be allowed on every one.
# tests/infra/test_analysts.py tests what the policy itself allows.

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
