# The dashboard shows alarms, input and output, durations and costs. The title of each widget is a question.
#
# An account's first three dashboards are free if each has at most 50 metrics, which a test checks.

locals {
  colours = { came = "#1f77b4", good = "#2ca02c", bad = "#d62728", odd = "#ff7f0e", grey = "#7f7f7f" }

  # Sums over all datasets. A file outside the datasets' folders counts in the dataset `unknown`.
  sums = {
    files_in         = { metric = "FilesStarted", service = "starter", stat = "Sum", datasets = local.all_datasets }
    files_published  = { metric = "RecordsPublished", service = "write", stat = "SampleCount", datasets = local.datasets } # sent once per file
    files_failed     = { metric = "FilesFailed", service = "record_failure", stat = "Sum", datasets = local.all_datasets }
    records_in       = { metric = "RecordsReceived", service = "write", stat = "Sum", datasets = local.datasets }
    records_out      = { metric = "RecordsPublished", service = "write", stat = "Sum", datasets = local.datasets }
    records_rejected = { metric = "RecordsRejected", service = "write", stat = "Sum", datasets = local.datasets }
    cost             = { metric = "EstimatedCostUSD", service = "record_run", stat = "Sum", datasets = local.all_datasets }
  }
  all_datasets = concat(local.datasets, ["unknown"])

  # The hidden metrics of a sum, and the sum as metric math, in which a missing value counts as 0.
  summands = {
    for name, sum in local.sums : name => [
      for number, dataset in sum.datasets :
      [local.name, sum.metric, "service", sum.service, "dataset", dataset, { id = "${name}_${number}", stat = sum.stat, visible = false }]
    ]
  }
  sum = { for name, sum in local.sums : name => join(" + ", [for number, _ in sum.datasets : "${name}_${number}"]) }

  # One line or number, together with its hidden metrics.
  shown = {
    for name, how in {
      files_in         = ["files arrived", local.colours.came]
      files_published  = ["files published", local.colours.good]
      files_failed     = ["files failed", local.colours.bad]
      records_in       = ["records arrived", local.colours.came]
      records_out      = ["records published", local.colours.good]
      records_rejected = ["records rejected", local.colours.bad]
      cost             = ["USD, estimated", local.colours.grey]
    } : name => concat(local.summands[name], [[{ id = name, expression = local.sum[name], label = how[0], color = how[1] }]])
  }

  # The steps in order, each with the colours of its p50 and p99.
  steps = [
    { function = "validate", shades = ["#aec7e8", "#1f77b4"] },
    { function = "transform", shades = ["#98df8a", "#2ca02c"] },
    { function = "write", shades = ["#c5b0d5", "#9467bd"] },
  ]

  from_zero = { left = { min = 0, showUnits = false } }

  # Rows of widgets from left to right; each row fills 24 columns.
  rows = [
    {
      height = 6
      widgets = [
        {
          width = 8
          type  = "alarm"
          properties = {
            title  = "Which alarms are active? For red alarms, see the runbook"
            sortBy = "stateUpdatedTimestamp" # active alarms first
            alarms = [for key in local.alarm_keys : "arn:${local.partition}:cloudwatch:${local.regional}:alarm:${local.name}-${key}"]
          }
        },
        {
          width = 12
          type  = "metric"
          properties = {
            title                    = "How many files and records arrived and were published in the selected time?"
            view                     = "singleValue"
            setPeriodToTimeRange     = true
            singleValueFullPrecision = false
            metrics = concat([
              for name in ["files_in", "files_published", "files_failed", "records_in", "records_out", "records_rejected", "cost"] : local.shown[name]
            ]...)
          }
        },
        {
          width = 4
          type  = "text"
          properties = {
            markdown = join("\n", [
              "### ${local.name}",
              "- ${var.runbook_url == null ? "Runbook: `docs/guides/recover.md`" : "[Runbook](${var.runbook_url})"}",
              "- [Executions](${local.console}/states/home?region=${var.region}#/statemachines/view/${local.arn.state_machine})",
              "- [Logs](${local.console}/cloudwatch/home?region=${var.region}#logsV2:logs-insights): saved queries in `${local.name}`",
              "- [Files](${local.console}/s3/buckets/${local.buckets.processed}?region=${var.region})",
              "- [Tables](${local.console}/athena/home?region=${var.region}#/query-editor)",
            ])
          }
        },
      ]
    },
    {
      height = 6
      widgets = [
        {
          width = 8
          type  = "metric"
          properties = {
            title   = "Is every arriving file published?"
            view    = "timeSeries"
            period  = 900
            yAxis   = local.from_zero
            metrics = concat(local.shown.files_in, local.shown.files_published, local.shown.files_failed)
          }
        },
        {
          width = 8
          type  = "metric"
          properties = {
            title   = "How many records arrive, are published, or are rejected?"
            view    = "timeSeries"
            period  = 900
            yAxis   = local.from_zero
            metrics = concat(local.shown.records_in, local.shown.records_out, local.shown.records_rejected)
          }
        },
        {
          width = 8
          type  = "metric"
          properties = {
            title   = "Why are records rejected? Includes failed files"
            view    = "timeSeries"
            stacked = true
            period  = 900
            yAxis   = local.from_zero
            # A search expression shows only reasons that occur. Contracts can define more reasons.
            metrics = [[{
              id         = "reasons"
              expression = "SEARCH('{\"${local.name}\",service,dataset,reason} MetricName=\"RejectsByReason\"', 'Sum', 900)"
              label      = "$${PROP('Dim.dataset')} $${PROP('Dim.reason')}"
            }]]
          }
        },
      ]
    },
    {
      height = 6
      widgets = [
        {
          width = 8
          type  = "metric"
          properties = {
            title  = "How long does a step take (p50, p99), in ms?"
            view   = "timeSeries"
            period = 900
            yAxis  = local.from_zero
            metrics = concat([
              for step in local.steps : [
                for number, percentile in ["p50", "p99"] :
                ["AWS/Lambda", "Duration", "FunctionName", local.functions[step.function].name, { stat = percentile, label = "${step.function} ${percentile}", color = step.shades[number] }]
              ]
            ]...)
          }
        },
        {
          width = 8
          type  = "metric"
          properties = {
            title  = "How long does a file take from start to end, in ms?"
            view   = "timeSeries"
            period = 900
            yAxis  = local.from_zero
            metrics = [
              ["AWS/States", "ExecutionTime", "StateMachineArn", local.arn.state_machine, { stat = "p50", label = "p50", color = "#aec7e8" }],
              ["AWS/States", "ExecutionTime", "StateMachineArn", local.arn.state_machine, { stat = "p99", label = "p99", color = "#1f77b4" }],
            ]
          }
        },
        {
          width = 8
          type  = "metric"
          properties = {
            title  = "Do executions fail?"
            view   = "timeSeries"
            stat   = "Sum"
            period = 900
            yAxis  = local.from_zero
            metrics = [
              ["AWS/States", "ExecutionsFailed", "StateMachineArn", local.arn.state_machine, { label = "failed", color = local.colours.bad }],
              ["AWS/States", "ExecutionsTimedOut", "StateMachineArn", local.arn.state_machine, { label = "timed out", color = local.colours.odd }],
              ["AWS/States", "ExecutionsAborted", "StateMachineArn", local.arn.state_machine, { label = "aborted", color = local.colours.grey }],
            ]
          }
        },
      ]
    },
    {
      height = 6
      widgets = [
        {
          width = 8
          type  = "metric"
          properties = {
            title   = "Which function fails? Includes retries and bad files"
            view    = "timeSeries"
            stacked = true
            stat    = "Sum"
            period  = 900
            yAxis   = local.from_zero
            metrics = [for key, function in local.functions : ["AWS/Lambda", "Errors", "FunctionName", function.name, { label = key }]]
          }
        },
        {
          width = 8
          type  = "metric"
          properties = {
            title   = "Is anything throttled?"
            view    = "timeSeries"
            stacked = true
            stat    = "Sum"
            period  = 900
            yAxis   = local.from_zero
            metrics = concat(
              [for key, function in local.functions : ["AWS/Lambda", "Throttles", "FunctionName", function.name, { label = key }]],
              [["AWS/States", "ExecutionThrottled", "StateMachineArn", local.arn.state_machine, { label = "state machine", color = local.colours.grey }]],
            )
          }
        },
        {
          width = 8
          type  = "metric"
          properties = {
            title  = "Do failed events need action? How many, and since when?"
            view   = "timeSeries"
            stat   = "Maximum"
            period = 300
            yAxis = {
              left  = { min = 0, label = "events", showUnits = false }
              right = { min = 0, label = "seconds", showUnits = false }
            }
            metrics = [
              ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${local.name}-on-failure", { label = "events in the failed-event queue", color = local.colours.bad }],
              ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "${local.name}-on-failure", { label = "age of the oldest event", color = local.colours.grey, yAxis = "right" }],
              [local.name, "BatchesUnaccounted", "service", "reconciler", { label = "files without an outcome", color = local.colours.odd }],
            ]
          }
        },
      ]
    },
    {
      height = 6
      widgets = [
        {
          width = 8
          type  = "metric"
          properties = {
            title  = "What does it cost per day and per 1,000 records?"
            view   = "timeSeries"
            start  = "-P14D" # independent of the selected time, because each point is a day
            period = 86400
            yAxis = {
              left  = { min = 0, label = "USD per day", showUnits = false }
              right = { min = 0, label = "USD per 1,000 records", showUnits = false }
            }
            metrics = concat(
              local.shown.cost,
              local.summands.records_out,
              [[{ id = "for_1000", expression = "1000 * (${local.sum.cost}) / (${local.sum.records_out})", label = "USD per 1,000 records", color = local.colours.odd, yAxis = "right" }]],
            )
          }
        },
        {
          width = 16
          type  = "log"
          properties = {
            title = "Which files failed, and why? Newest first"
            view  = "table"
            query = "SOURCE '${local.log_group.record_failure}' | ${trimspace(local.log_queries.failed-files.text)}"
          }
        },
      ]
    },
  ]

  alarm_keys = concat(keys(local.alarms), [for dataset in local.datasets : "reject-ratio-${dataset}"])

  widgets = flatten([
    for number, row in local.rows : [
      for place, widget in row.widgets : {
        type       = widget.type
        x          = sum(concat([0], slice(row.widgets, 0, place)[*].width))
        y          = sum(concat([0], slice(local.rows, 0, number)[*].height))
        width      = widget.width
        height     = row.height
        properties = merge(widget.properties, { for key in ["region"] : key => var.region if contains(["metric", "log"], widget.type) })
      }
    ]
  ])
}

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
resource "aws_cloudwatch_dashboard" "this" {
  count = var.dashboard ? 1 : 0

  dashboard_name = local.name
  dashboard_body = jsonencode({
    start          = "-P1D"
    periodOverride = "inherit"
    widgets        = local.widgets
  })
}
