// Model cards for people.
import { writeJson, type ReceivedCard, type TensorMetadata } from '@inferwire/protocol'
import { formatTable, printable } from '../table.ts'

// Where a card does not say it.
const NOTHING = '-'

/** A table of models; `isWide` adds what fewer people need. */
export function formatCardTable(cards: readonly ReceivedCard[], isWide: boolean): string {
  const header = [
    'name',
    'protocols',
    'operations',
    'default',
    ...(isWide ? ['platform', 'inputs', 'outputs', 'timeout'] : []),
  ]
  const rows = cards.map((card) => [
    card.name,
    card.protocol_versions?.join(',') ?? NOTHING,
    card.operations.join(','),
    card.default_operation ?? NOTHING,
    ...(isWide
      ? [
          card.platform ?? NOTHING,
          tensorsInOneWord(card.inputs),
          tensorsInOneWord(card.outputs),
          card.limits?.timeout_ms === undefined ? NOTHING : `${card.limits.timeout_ms / 1_000}s`,
        ]
      : []),
  ])
  return formatTable(header, rows)
}

/** One card, as `kubectl describe` would show it. */
export function formatCard(card: ReceivedCard): string {
  const { example, limits } = card
  return [
    ...row('Name', card.name),
    ...row('Description', card.description),
    ...row('Platform', card.platform),
    ...row('Versions', card.versions?.join(', ')),
    ...row('Protocol versions', card.protocol_versions?.join(', ')),
    ...row('Operations', card.operations.join(', ')),
    ...row('Default operation', card.default_operation),
    ...tensorRows('Inputs', card.inputs),
    ...tensorRows('Outputs', card.outputs),
    ...row('Request topic', card.request_topic),
    ...row('Reply topic', card.reply_topic),
    ...row('Largest request', amount(limits?.request_bytes_max, 'bytes')),
    ...row('Largest response', amount(limits?.response_bytes_max, 'bytes')),
    ...row('Timeout', amount(limits?.timeout_ms, 'ms')),
    ...(example === undefined ? [] : row('Example', `${example.operation} ${writeJson(example.body)}`)),
  ]
    .map((line) => `${line}\n`)
    .join('')
}

function row(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`${`${name}:`.padEnd(20)}${printable(value)}`]
}

function amount(value: number | undefined, unit: string): string | undefined {
  return value === undefined ? undefined : `${value} ${unit}`
}

function tensorRows(title: string, tensors: readonly TensorMetadata[] | undefined): string[] {
  if (tensors === undefined || tensors.length === 0) return []
  return [`${title}:`, ...tensors.map((tensor) => `  ${printable(tensorInOneWord(tensor))}`)]
}

function tensorsInOneWord(tensors: readonly TensorMetadata[] | undefined): string {
  return tensors === undefined || tensors.length === 0 ? NOTHING : tensors.map(tensorInOneWord).join(',')
}

function tensorInOneWord({ name, datatype, shape }: TensorMetadata): string {
  return `${name}:${datatype}[${shape.join(',')}]`
}
