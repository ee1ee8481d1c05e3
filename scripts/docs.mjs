// `npm run docs`: writes the generated reference pages; with --check, it only lists the pages that are out of date.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configJsonSchema, configMarkdown } from '@inferwire/connector'
import { DIALECTS, OPERATIONS, PROBLEMS } from '@inferwire/protocol'

const FOLDER = new URL('../docs/reference/', import.meta.url).pathname
const NOTE = (source) => `<!-- Generated from ${source} by \`npm run docs\`. Do not edit. -->`

function table(head, rows) {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function line(cells) {
  return `| ${cells.map((cell) => String(cell ?? '').replaceAll('|', '\\|')).join(' | ')} |`
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

Values of the user property \`code\` of an error reply, and of the member \`code\` of its body. A reply with \`upstream_error\` has the model server's own status and body. "Retry" means that the same request may succeed later.

${table(['code', 'status', 'retry', 'when', 'what to do'], rows)}
`
}

function operationsPage() {
  const dialects = Object.values(DIALECTS)
  const rows = Object.entries(OPERATIONS).map(([name, { meaning }]) => [
    `\`${name}\``,
    meaning,
    ...dialects
      .map(({ routes }) => routes[name])
      .map((route) => route && `\`${route.method} ${route.path}\``),
  ])
  return `# Operations

${NOTE('packages/protocol/src/operation.ts and packages/protocol/src/dialect/')}

The third level after \`request\` in a request topic. The default is the model card's \`default_operation\`. The other columns show the HTTP request to the model server; the part in brackets is present only for \`{model}@{version}\`. If a model server supports several protocols, the first column that has the operation is used.

${table(['operation', 'what it is', ...dialects.map(({ title }) => title)], rows)}
`
}

const pages = {
  'configuration.md': configMarkdown(),
  'problems.md': problemsPage(),
  'operations.md': operationsPage(),
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
