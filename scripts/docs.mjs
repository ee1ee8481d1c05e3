// `npm run docs`: writes the generated reference pages; with --check, it only lists the pages that are out of date.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CHECKS, createProgram, examplesOf, EXIT, EXIT_MEANINGS } from 'inferwire'
import { configJsonSchema, configMarkdown, describeMetrics, REFUSALS } from '@inferwire/connector'
import { dialectNames, DIALECTS, OPERATIONS, optionalOperations, PROBLEMS } from '@inferwire/protocol'

const FOLDER = new URL('../docs/reference/', import.meta.url).pathname
const LINE_LENGTH_MAX = 120
const NOTE = (source) => `<!-- Generated from ${source} by \`npm run docs\`. Do not edit. -->`

function table(head, rows) {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function line(cells) {
  return `| ${cells.map((cell) => String(cell ?? '').replaceAll('|', '\\|')).join(' | ')} |`
}

// Wraps a paragraph in the way that Prettier wraps the pages that are not generated.
function wrapped(paragraph, indent = '') {
  const lines = ['']
  for (const word of paragraph.split(' ')) {
    const longer = lines.at(-1) === '' ? word : `${lines.at(-1)} ${word}`
    if (longer.length > LINE_LENGTH_MAX) lines.push(indent + word)
    else lines[lines.length - 1] = longer
  }
  return lines.join('\n')
}

function problemsPage() {
  const rows = Object.entries(PROBLEMS).map(([code, { status, retryable, meaning, remedy }]) => [
    `\`${code}\``,
    status,
    retryable ? 'yes' : 'no',
    meaning,
    remedy,
  ])
  return `# Problem codes

${NOTE('packages/protocol/src/problem.ts')}

${wrapped('Values of the user property `code` of an error reply, and of the member `code` of its body. A reply with `upstream_error` has the model server\'s own status and body. "Retry" means that the same request may succeed later.')}

${table(['code', 'status', 'retry', 'when', 'what to do'], rows)}
`
}

const REPEATS = {
  never: 'no',
  'new-token': 'once, with a changed token',
  later: 'by the client',
  once: 'once, after a second',
  'back-off': 'yes',
  'retry-after': 'after Retry-After',
}
const COUNTS = { yes: 'yes', warm: 'if warm', no: 'no' }

function refusalsPage() {
  const rows = Object.entries(REFUSALS).map(([name, { mark, code, retry, countsForCircuit, mayHaveRun }]) => [
    `\`${name}\``,
    mark,
    `\`${code}\``,
    mayHaveRun && retry === 'back-off' ? 'if `repeatable`' : REPEATS[retry],
    COUNTS[countsForCircuit],
  ])
  const remedies = Object.entries(REFUSALS).map(([name, { remedy }]) =>
    wrapped(`- **\`${name}\`:** ${remedy}`, '  '),
  )
  return `# Refusals

${NOTE('packages/connector/src/endpoint/refusal/refusals.ts')}

${wrapped('Gateways and service meshes refuse calls in the ways below, over HTTP and over gRPC. The name is the field `refusal` of the log lines `request_failed`, `model_not_ready` and `circuit_opened`, and the label `refusal` of the metric `inferwire_upstream_refusals_total`. The client receives only the problem code and a sentence without details.')}

${wrapped('"Repeated" means that the connector repeats the call, within `models.*.retry` and the deadline. After each 401 and 403, it also reads its token again, and repeats the call at once if the token changed. "Circuit" means that the refusal counts as a failure of the model server; "if warm" means that it counts only if the server has answered within the last minute, because a model that is scaled to zero is refused in the same way while it starts.')}

${table(['refusal', 'how it is recognized', 'code', 'repeated', 'circuit'], rows)}

## What to do

${remedies.join('\n')}
`
}

function operationsPage() {
  const dialects = Object.values(DIALECTS)
  const optional = dialectNames().flatMap(optionalOperations)
  const rows = Object.entries(OPERATIONS).map(([name, { meaning }]) => [
    `\`${name}\``,
    meaning,
    ...dialects
      .map(({ routes }) => routes[name])
      .map((route) => route && `\`${route.method} ${route.path}\``),
  ])
  return `# Operations

${NOTE('packages/protocol/src/operation.ts and packages/protocol/src/dialect/')}

${wrapped("The operation is the third level after `request`. If a topic has no operation, the card's `default_operation` applies. The other columns show the call to the model server; the part in brackets applies only to `{model}@{version}`. If a server supports several protocols for a model, the first one that has the operation is used.")}

${wrapped(`Only some servers have ${optional.map((name) => `\`${name}\``).join(', ')}; the connector queries each server for them, and the card lists those that it found. OpenAI paths have the prefix \`/openai\` on KServe's own server. With \`"stream": true\` in the body, \`generate\` calls \`generate_stream\` instead. See [Streams](../concepts/wire-contract.md#streams).`)}

${table(['operation', 'what it is', ...dialects.map(({ title }) => title)], rows)}
`
}

const ALERTS = [
  [
    'inferwire_mqtt_connected == 0',
    'the connector has no session with the broker (alert only if this lasts for 2 minutes)',
  ],
  [
    'increase(inferwire_mqtt_lost_sessions_total[10m]) > 0',
    'the broker lost a session and its queued requests',
  ],
  [
    'min_over_time(inferwire_upstream_circuit_state[2m]) > 0',
    'a model server fails; requests for its models are answered with `circuit_open`',
  ],
  [
    'increase(inferwire_unanswered_requests_total[10m]) > 0',
    "requesters get no reply: check the log, the clients' topics and the connector's ACL",
  ],
  [
    'increase(inferwire_poison_requests_total[10m]) > 0',
    'a request crashed the connector repeatedly and was set aside',
  ],
]

async function metricsPage() {
  const metrics = await describeMetrics()
  const rows = metrics.map(({ name, type, labels, help }) => [
    `\`${name}\``,
    type,
    labels.map((label) => `\`${label}\``).join(', '),
    help,
  ])
  return `# Metrics

${NOTE('packages/connector/src/admin/exposition.ts')}

${wrapped('The connector serves these metrics at `/metrics` in the Prometheus text format, in addition to the process metrics of Node.js (`process_*` and `nodejs_*`). The address is set by `admin.host` and `admin.port`. Histograms are in seconds; all counters start at 0 when the process starts.')}

${wrapped('The label `model` is the name of the model in topics, `operation` is one of the [operations](operations.md), and `code` is `ok` or one of the [problem codes](problems.md), and `refusal` is one of the [refusals](refusals.md). A request for a model that is not exposed has the label `_unknown`.')}

${table(['metric', 'type', 'labels', 'meaning'], rows)}

## Suggested alerts

${table(
  ['expression', 'meaning'],
  ALERTS.map(([expression, meaning]) => [`\`${expression}\``, meaning]),
)}
`
}

// The heading above the options that are common to all commands that connect to a broker.
const BROKER_GROUP = 'Broker:'

function commandsPage() {
  const program = createProgram()
  const leaves = leavesOf(program, [])
  const withBroker = leaves.find(({ options }) => options.some(isOfBroker))
  const exitCodes = Object.entries(EXIT).map(([name, code]) => [code, EXIT_MEANINGS[name]])
  return `# Commands

${NOTE('packages/cli/src/commands/')}

${wrapped('In a checkout, begin each command with `npx`. With `--help`, each command prints the same text as below.')}

${leaves.map(commandSection).join('\n\n')}

## Broker options

${wrapped('These options choose the broker, the login and the topics. The short options are the same as in `mosquitto_pub`.')}

${optionTable(withBroker.options.filter(isOfBroker))}

## Exit codes

${table(['code', 'meaning'], exitCodes)}
`
}

function leavesOf(command, path) {
  const help = command.createHelp()
  const children = help.visibleCommands(command).filter((child) => child.name() !== 'help')
  if (children.length > 0) return children.flatMap((child) => leavesOf(child, [...path, child.name()]))
  const options = help.visibleOptions(command).filter(({ long }) => long !== '--help')
  return [{ command, path, options }]
}

function isOfBroker({ helpGroupHeading }) {
  return helpGroupHeading === BROKER_GROUP
}

function commandSection({ command, path, options }) {
  const own = options.filter((option) => !isOfBroker(option))
  const name = `inferwire ${path.join(' ')}`
  const usage = command.usage().trim()
  const examples = examplesOf(command).split('\n').slice(1).join('\n').replaceAll(/^ {2}/gm, '').trim()
  return [
    `## ${name}`,
    ...command
      .description()
      .split('\n')
      .map((line) => wrapped(escaped(line))),
    ['```text', `${name} ${usage}`, '```'].join('\n'),
    examples === '' ? '' : ['```sh', examples, '```'].join('\n'),
    ...(own.length === 0 ? [] : [optionTable(own)]),
    ...(own.length === options.length ? [] : ['Also accepts the [broker options](#broker-options).']),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

function optionTable(options) {
  const rows = options.map((option) => [`\`${option.flags}\``, escaped(optionText(option))])
  return table(['option', 'meaning'], rows)
}

function optionText({ description, argChoices, defaultValue, defaultValueDescription }) {
  const notes = [
    ...(argChoices === undefined ? [] : [`one of: ${argChoices.join(', ')}`]),
    ...(defaultValue === undefined || defaultValue === true
      ? []
      : [`default: ${defaultValueDescription ?? defaultValue}`]),
  ]
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`
}

// Escapes characters that Markdown would read as markup outside of code.
function escaped(text) {
  return text.replaceAll(/[<>*_{}]/g, (character) => `\\${character}`)
}

function checksPage() {
  const groups = new Set(CHECKS.map(groupOf))
  return `# Checks

${NOTE('packages/cli/src/doctor/checks.ts')}

${wrapped('The checks of [`inferwire doctor`](../guides/doctor.md). The second column is the condition that holds in a healthy system. A check is skipped if one of the checks in the third column failed.')}

${[...groups].map((group) => `## ${group}\n\n${checksTable(CHECKS.filter((check) => groupOf(check) === group))}`).join('\n\n')}
`
}

function groupOf({ id }) {
  return id.split('.')[0]
}

function checksTable(checks) {
  return table(
    ['check', 'condition', 'needs'],
    checks.map(({ id, title, needs }) => [
      `\`${id}\``,
      escaped(title),
      needs.map((need) => `\`${need.replace(/\?$/, '')}\``).join(', '),
    ]),
  )
}

const pages = {
  'checks.md': checksPage(),
  'commands.md': commandsPage(),
  'configuration.md': configMarkdown(),
  'problems.md': problemsPage(),
  'refusals.md': refusalsPage(),
  'operations.md': operationsPage(),
  'metrics.md': await metricsPage(),
  'inferwire.schema.json': `${JSON.stringify(configJsonSchema(), null, 2)}\n`,
}

const stale = Object.entries(pages).filter(([name, text]) => {
  const file = join(FOLDER, name)
  return !existsSync(file) || readFileSync(file, 'utf8') !== text
})
if (process.argv.includes('--check')) {
  if (stale.length > 0) {
    console.error(
      `Out of date: ${stale.map(([name]) => `docs/reference/${name}`).join(', ')}. Run: npm run docs`,
    )
    process.exit(1)
  }
} else {
  mkdirSync(FOLDER, { recursive: true })
  for (const [name, text] of stale) {
    writeFileSync(join(FOLDER, name), text)
    console.log(`wrote docs/reference/${name}`)
  }
}
