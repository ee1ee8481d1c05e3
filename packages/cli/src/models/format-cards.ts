// Formats model cards for a terminal.
import { writeJson, type ConnectorStatus, type ReceivedCard, type TensorMetadata } from '@inferwire/protocol'
import { formatTable, printable } from '../table.ts'

// Printed for unknown values.
const NOTHING = '-'

/** Formats a table of models with their state; `isWide` adds platform, inputs, outputs and timeout. */
export function formatCardTable(
  cards: readonly ReceivedCard[],
  statuses: readonly ConnectorStatus[],
  isWide: boolean,
): string {
  const header = [
    'name',
    'state',
    'protocols',
    'operations',
    'default',
    ...(isWide ? ['platform', 'inputs', 'outputs', 'timeout'] : []),
  ]
  const rows = cards.map((card) => [
    card.name,
    modelState(card, statuses),
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

// A card remains on the broker while its connector is offline, so the state comes from the connectors' statuses.
function modelState(card: ReceivedCard, statuses: readonly ConnectorStatus[]): string {
  const { name: model } = card
  if (statuses.length === 0) return NOTHING
  const connected = statuses.filter(({ state }) => state !== 'offline')
  const states = connected.flatMap(({ models, state }) => (models.includes(model) ? [state] : []))
  if (states.length > 0) return states.includes('online') ? 'online' : 'draining'
  if (connected.some((status) => status.not_ready?.includes(model))) return 'not ready'
  // Statuses do not list the models that a connector has discovered.
  const publisher = connected.find(({ connector, discovery }) => connector === card.connector && discovery)
  if (publisher === undefined) return 'offline'
  return card.state === undefined || card.state === 'ready' ? publisher.state : card.state.replace('_', ' ')
}

/** Formats one card in the style of `kubectl describe`. */
export function formatCard(card: ReceivedCard): string {
  const { example, limits } = card
  return [
    ...row('Name', card.name),
    ...row('State', card.state?.replace('_', ' ')),
    ...row('Reason', card.reason),
    ...row('Connector', card.connector),
    ...row('Description', card.description),
    ...row('Platform', card.platform),
    ...row('Versions', card.versions?.join(', ')),
    ...row('Protocol versions', card.protocol_versions?.join(', ')),
    ...row('Operations', card.operations.join(', ')),
    ...row('Default operation', card.default_operation),
    ...tensorRows('Inputs', card.inputs),
    ...tensorRows('Outputs', card.outputs),
    ...row('Content types', card.content_types?.join(', ')),
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
