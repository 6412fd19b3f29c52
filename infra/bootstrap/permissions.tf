# Converts permissions.yaml and smoke.yaml to policies. Grants with the same resources and condition become one
# statement, and each policy contains as many statements as AWS accepts.

locals {
  statements_a_policy = 14

  # The values of the placeholders in the tables: for each environment's role, for the role of `make smoke`, whose
  # environments have names such as smoke-1a2b3c, and for the plan role, which reads all of them.
  scopes = merge(
    {
      for name, region in var.environments : name => {
        name        = local.names[name]
        environment = name
        region      = region
        kinds       = name == "prod" ? ["read", "write"] : ["read", "write", "erase"]
        tables      = ["permissions.yaml"]
      }
    },
    {
      smoke = {
        name        = local.names.smoke
        environment = "smoke-*"
        region      = var.smoke_region
        kinds       = ["read", "write", "erase"]
        tables      = ["permissions.yaml", "smoke.yaml"]
      }
      plan = { name = "${var.project}-*", environment = "*", region = "*", kinds = ["read"], tables = ["permissions.yaml"] }
    }
  )

  # The tables with the placeholders of each scope filled in.
  tables = {
    for key, scope in local.scopes : key => merge([
      for table in scope.tables : {
        for what, grants in yamldecode(templatefile("${path.module}/${table}", {
          partition   = local.partition
          account     = local.account_id
          project     = var.project
          environment = scope.environment
          boundary    = "arn:${local.partition}:iam::${local.account_id}:policy/${try(local.boundaries[key], "none")}"
          region      = scope.region
          name        = scope.name
          database    = replace(scope.name, "-", "_")
        })) : what => grants
        if var.customer_managed_key || !strcontains(what, "kms")
      }
    ]...)
  }

  # All grants of a scope, grouped by resources and condition. Each group contains lists of actions.
  grants = {
    for key, table in local.tables : key => {
      for grant in flatten(values(table)) :
      jsonencode([grant.resources, try(grant.condition, {})]) => flatten([for kind in local.scopes[key].kinds : try(grant[kind], [])])...
    }
  }

  # As JSON strings, because only some statements have a condition.
  statements = {
    for key, grants in local.grants : key => [
      for where, actions in grants : jsonencode(merge(
        { Effect = "Allow", Action = sort(distinct(flatten(actions))), Resource = jsondecode(where)[0] },
        { for name, condition in { Condition = jsondecode(where)[1] } : name => condition if condition != {} }
      )) if length(flatten(actions)) > 0
    ]
  }

  documents = {
    for key, statements in local.statements : key => [
      for some in chunklist(statements, local.statements_a_policy) :
      "{\"Version\":\"2012-10-17\",\"Statement\":[${join(",", some)}]}"
    ]
  }
}
