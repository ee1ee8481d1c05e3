// The reference page of the configuration, written from the schema.
import type { z } from 'zod'
import { variableOf } from './environment.ts'
import type { OptionText } from './option.ts'
import { defaultOf, definitionOf, leavesOf, textOf, unwrap, type Leaf } from './schema-walk.ts'
import { configSchema } from './schema.ts'

/** The text of docs/reference/configuration.md. */
export function configMarkdown(): string {
  const { shape } = definitionOf(configSchema)
  const top = Object.entries(shape!)
  const scalars = top.filter(
    ([key, schema]) =>
      !['models', 'policy'].includes(key) && definitionOf(unwrap(schema)).shape === undefined,
  )
  const sections = top.filter(
    ([key, schema]) => definitionOf(unwrap(schema)).shape !== undefined && key !== 'policy',
  )
  const model = definitionOf(unwrap(shape!['models']!)).valueType!
  return [
    '# Configuration',
    '',
    '<!-- Generated from packages/connector/src/config/schema.ts by `npm run docs`. Do not edit. -->',
    '',
    'A YAML file, given with `-c FILE` or `INFERWIRE_CONFIG`. Environment variables win over the file, flags over both. Relative paths start at the working folder. `inferwire config check` says what is wrong, `inferwire config print` what is in force.',
    '',
    '## Top level',
    '',
    ...table(
      scalars.flatMap(([key, schema]) => leavesOf(schema, [key])),
      true,
    ),
    ...sections.flatMap(([key, schema]) => [
      '',
      `## \`${key}\``,
      '',
      ...table(leavesOf(schema, [key]), true),
    ]),
    '',
    '## `models.{name}`',
    '',
    textOf(shape!['models']!)!.description,
    '',
    ...table(leavesOf(model), false),
    '',
    '## `policy`',
    '',
    textOf(shape!['policy']!)!.description,
    '',
    '```yaml',
    'policy:',
    '  allow:',
    '    - clients: ["line-*"]',
    '      models: ["defects"]',
    '```',
    '',
  ].join('\n')
}

function table(leaves: readonly Leaf[], hasVariable: boolean): string[] {
  const head = ['option', 'type', 'unit', 'default', 'what it is', ...(hasVariable ? ['variable'] : [])]
  const rows = leaves.map(({ path, schema, text }) => [
    `\`${path.join('.')}\``,
    typeOf(schema),
    text.unit === undefined ? '' : UNITS[text.unit],
    text.defaultText ?? shownDefault(schema),
    text.description,
    ...(hasVariable ? [`\`${variableOf(path)}\``] : []),
  ])
  return [line(head), line(head.map(() => '---')), ...rows.map(line)]
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`
}

function shownDefault(schema: z.ZodType): string {
  const value = defaultOf(schema)
  return value === undefined ? '' : `\`${JSON.stringify(value)}\``
}

function typeOf(schema: z.ZodType): string {
  const inner = unwrap(schema)
  const { type, entries, values } = definitionOf(inner)
  const choices = entries === undefined ? values : Object.values(entries)
  if (choices !== undefined) return choices.map(String).join(', ')
  if (type === 'number') {
    const { minValue, maxValue } = inner as z.ZodNumber
    return `integer, ${minValue} to ${maxValue}`
  }
  return TYPE_NAMES[type] ?? type
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  array: 'list',
  boolean: 'true or false',
  // The password.
  custom: 'text',
  object: 'map',
  string: 'text',
  union: 'map',
}

const UNITS: Readonly<Record<NonNullable<OptionText['unit']>, string>> = {
  bytes: 'bytes',
  ms: 'milliseconds',
  requests: 'requests',
  s: 'seconds',
}
