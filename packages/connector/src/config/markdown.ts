// Generates the configuration reference page from the schema.
import { z } from 'zod'
import { allOptions, defaultTextOf, isModelOption } from './all-options.ts'
import { FRONT_PAGE, type OptionGroup } from './front-page.ts'
import type { OptionText } from './option.ts'
import { definitionOf, leavesOf, textOf, unwrap, type Leaf } from './schema-walk.ts'

const INTRODUCTION = [
  'The configuration is a YAML file, whose path is set with `-c FILE` or in `INFERWIRE_CONFIG`. The first part of this page contains the options that most installations set. Every [advanced option](#advanced-options) has a default that fits most installations.',
  'Every option outside of `models`, `discovery`, `credentials` and `policy` has an environment variable, for example `INFERWIRE_BROKER_KEEP_ALIVE_SECONDS` for `broker.keepAliveSeconds`. Environment variables override the file, and flags override both. Relative paths are resolved against the working folder. An unknown option is an error.',
  '`inferwire config check` reports every mistake with its place. `inferwire config print` shows the options that differ from the defaults, then the defaults. `inferwire config schema` prints the JSON Schema for an editor.',
]
const LINE_LENGTH_MAX = 120

/** Returns the text of docs/reference/configuration.md. */
export function configMarkdown(): string {
  const options = new Map(allOptions().map((leaf) => [leaf.path.join('.'), leaf]))
  return [
    '# Configuration',
    '<!-- Generated from packages/connector/src/config/ by `npm run docs`. Do not edit. -->',
    ...INTRODUCTION.map(wrapped),
    wrapped(FRONT_PAGE.map(({ title }) => `[${title}](#${anchorOf(title)})`).join(' · ')),
    ...FRONT_PAGE.flatMap((group) => groupOf(group, options)),
    '## Advanced options',
    wrapped('An option below `models.*` applies to one model.'),
    ...advancedSections([...options.values()]),
  ]
    .map((block) => `${block}\n`)
    .join('\n')
}

function anchorOf(title: string): string {
  return title.toLowerCase().replaceAll(' ', '-')
}

function groupOf(group: OptionGroup, options: ReadonlyMap<string, Leaf>): string[] {
  const leaves = group.options.flatMap((path) => options.get(path) ?? [])
  return [
    `## ${group.title}`,
    wrapped(group.text),
    `\`\`\`yaml\n${group.example}\`\`\``,
    table(leaves),
    ...detailsOf(leaves),
  ]
}

function advancedSections(options: readonly Leaf[]): string[] {
  const sections = new Map<string, Leaf[]>()
  for (const leaf of options.filter(({ text }) => text.isAdvanced === true)) {
    const title = isModelOption(leaf) ? 'models.*' : leaf.path[0]!
    sections.set(title, [...(sections.get(title) ?? []), leaf])
  }
  return [...sections].flatMap(([title, leaves]) => [`### \`${title}\``, table(leaves), ...detailsOf(leaves)])
}

function detailsOf(leaves: readonly Leaf[]): string[] {
  return leaves.flatMap(({ path, text }) =>
    text.details === undefined ? [] : [wrapped(`\`${path.join('.')}\`: ${text.details}`)],
  )
}

function table(leaves: readonly Leaf[]): string {
  const head = ['option', 'type', 'default', 'description']
  const rows = leaves
    .flatMap((leaf) => [leaf, ...keysOfUnion(leaf), ...keysOfMap(leaf)])
    .map((leaf) => [
      `\`${leaf.path.join('.')}\``,
      typeOf(leaf),
      defaultTextOf(leaf) ?? '',
      leaf.text.description,
    ])
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

// Returns the keys of the maps that an option accepts: maps of several `kind`s (such as a credential), or a map as
// an alternative to a word.
function keysOfUnion({ schema, path }: Leaf): Leaf[] {
  const { options } = definitionOf(unwrap(schema))
  if (options === undefined) return []
  const kinds = options.flatMap((map) => kindsOf(map))
  // Several kinds may share a key.
  const keys = new Map(
    options.flatMap((map) => leavesOf(map, path)).map((leaf) => [leaf.path.join('.'), leaf]),
  )
  if (kinds.length === 0) return [...keys.values()]
  return [
    {
      path: [...path, 'kind'],
      schema: z.enum(kinds),
      text: { description: 'Determines the other keys of the map.' },
    },
    ...keys.values(),
  ]
}

// Returns the keys of a map, and of the maps inside it. `[]` stands for every item of a list.
function keysOfMap({ schema, path }: Pick<Leaf, 'schema' | 'path'>): Leaf[] {
  const { shape = {}, element } = definitionOf(unwrap(schema))
  if (element !== undefined) {
    return keysOfMap({ schema: element, path: [...path.slice(0, -1), `${path.at(-1)}[]`] })
  }
  return Object.entries(shape).flatMap(([key, value]) => {
    const leaf = { schema: value, path: [...path, key] }
    const text = textOf(value)
    return [...(text === undefined ? [] : [{ ...leaf, text }]), ...keysOfMap(leaf)]
  })
}

function kindsOf(map: z.ZodType): string[] {
  const kind = definitionOf(map).shape?.['kind']
  return kind === undefined ? [] : (definitionOf(kind).values ?? []).map(String)
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`
}

function typeOf({ schema, text }: Leaf): string {
  const inner = unwrap(schema)
  const { type, entries, values, options } = definitionOf(inner)
  const choices = entries === undefined ? values : Object.values(entries)
  const words = (options ?? []).flatMap((choice) => Object.values(definitionOf(choice).entries ?? {}))
  if (options?.some((choice) => definitionOf(choice).type === 'string') === true) return 'text, or a map'
  if (words.length > 0) return `${words.map((word) => `\`${word}\``).join(', ')}, or a map`
  if (choices !== undefined) return choices.map((choice) => `\`${String(choice)}\``).join(', ')
  if (type !== 'number') return TYPE_NAMES[type] ?? type
  const { minValue, maxValue, isInt } = inner as z.ZodNumber
  const unit = text.unit === undefined ? '' : ` ${UNITS[text.unit]}`
  return isInt ? `${minValue} to ${maxValue}${unit}` : `a number up to ${maxValue}${unit}`
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  array: 'list',
  boolean: '`true`, `false`',
  // Only the password has this type.
  custom: 'text',
  object: 'map',
  record: 'map',
  string: 'text',
  union: 'map',
}

const UNITS: Readonly<Record<NonNullable<OptionText['unit']>, string>> = {
  bytes: 'bytes',
  ms: 'ms',
  requests: 'requests',
  s: 's',
}

// Wraps a paragraph at the line length of the other pages.
function wrapped(paragraph: string): string {
  const lines: string[] = []
  let current = ''
  for (const word of paragraph.split(' ')) {
    if (current !== '' && current.length + 1 + word.length > LINE_LENGTH_MAX) {
      lines.push(current)
      current = word
    } else {
      current = current === '' ? word : `${current} ${word}`
    }
  }
  return [...lines, current].join('\n')
}
