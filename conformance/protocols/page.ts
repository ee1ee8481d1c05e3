// Writes docs/protocols.md from the cases: what works with which server, and what a client receives if something fails.
import { exposedName, type ProtocolCase } from './case.ts'
import { FEATURE_CASES, FEATURES } from './features.ts'
import { CASES } from './rows.ts'
import { GATEWAY_CASES } from './rows/gateway.ts'
import { GRPC_GATEWAY_CASES, GRPC_MESSAGE_CASES } from './rows/grpc-gateway.ts'
import { STREAM_GATEWAY_CASES } from './rows/stream-gateway.ts'
import { SERVERS, type RealServer } from './servers.ts'
import { resultOf, SITUATIONS, type SituationName } from './situations.ts'
import { WAYS, type WayKind, type WayName } from './ways.ts'

const SERVER_NAMES = Object.keys(SERVERS) as RealServer[]
const WAY_NAMES = Object.keys(WAYS) as WayName[]

/** Returns the whole page. */
export function protocolsPage(): string {
  return `# Protocols

<!-- Generated from conformance/protocols/ by \`npm run protocols\`. Do not edit. -->

This page is for model owners and client developers. It lists what works with which model server, and what a client
receives if a request fails. Tests prove each line, with the real servers: KServe's Python server, Triton and MLServer.
These tests run KServe's OpenAI routes without vLLM, with a model that repeats words.

## Operations and servers

${table(['operation', 'body', 'protocol', ...SERVER_NAMES.map((name) => SERVERS[name])], WAY_NAMES.map(wayRow))}

The option \`protocolVersion\` of a model chooses the protocol: \`v1\`, \`v2\` and \`openai\` over HTTP, \`grpc-v2\` over
gRPC. Without it, the connector uses every HTTP protocol that the server supports, and never gRPC.

A cell without "yes" names what the server lacks, and what a client receives if it sends the request anyway.
The models in the last column have only OpenAI routes.

## Simultaneous requests

With \`batching\`, simultaneous requests share one call, and each receives its own answer. If a model has one call at a
time, the waiting request with the highest \`priority\` runs first. The connector does both, so an empty cell only means
that the server does not have the operation or does not read the body.

${table(['feature', 'operation', 'body', 'protocol', ...SERVER_NAMES.map((name) => SERVERS[name])], featureRows())}

## Results

If the connector detects the situation, a client receives the same code and status for every protocol and server.
The servers report some mistakes differently: see [Errors of the servers](#errors-of-the-servers). With
\`upstream_error\`, the status is the server's own. [Problem codes](reference/problems.md) explains the codes.

${table(
  ['situation', 'code', 'status', 'retry', 'tested with'],
  (Object.keys(SITUATIONS) as SituationName[]).map(situationRow),
)}

## Errors of the servers

The servers differ in their answers to the same mistake. "rejected" stands for \`upstream_error\` with the server's own
status and body. An empty cell means that the server cannot be in that situation, or was not tested.

${table(['protocol', 'request', ...SERVER_NAMES.map((name) => SERVERS[name])], errorRows())}

## Faults of servers and gateways

Real servers do not have these faults on request, so a test server imitates them. The result is the same for:

${waysOf(GATEWAY_CASES)
  .map((name) => `- ${name}`)
  .join('\n')}

${table(['the connector receives', 'the client receives'], faultRows(GATEWAY_CASES))}

For streams, the result is the same for ${listed(waysOf(STREAM_GATEWAY_CASES))}.

${table(['the connector receives', 'the client receives'], faultRows(STREAM_GATEWAY_CASES))}

Over gRPC, the result is the same for ${listed(waysOf(GRPC_GATEWAY_CASES))}.

${table(['the connector receives', 'the client receives'], faultRows(GRPC_GATEWAY_CASES))}

The answer to \`infer\` is one message; the answer to \`infer_stream\` is any number of messages, and each is sent to the
client at once. The following results therefore depend on the operation.

${table(
  ['the connector receives', 'the client of `infer` receives', 'the client of `infer_stream` receives'],
  messageRows(),
)}
`
}

function wayRow(way: WayName): string[] {
  const { operation, form, dialect, transport } = WAYS[way]
  return [
    `\`${operation}\``,
    form,
    `${dialect}, ${transport}`,
    ...SERVER_NAMES.map((server) => cellOf(way, server)),
  ]
}

function featureRows(): string[][] {
  return FEATURES.flatMap((feature) => {
    const cases = FEATURE_CASES.filter((each) => each.feature === feature)
    const ways = WAY_NAMES.filter((way) => cases.some((each) => each.way === way))
    return ways.map((way) => {
      const { operation, form, dialect, transport } = WAYS[way]
      const cells = SERVER_NAMES.map((name) =>
        cases.some((each) => each.way === way && each.server === name) ? 'yes' : '',
      )
      return [`\`${feature}\``, `\`${operation}\``, form, `${dialect}, ${transport}`, ...cells]
    })
  })
}

/** Returns "yes", or what the server lacks and what the client receives. @throws if no case proves either */
function cellOf(way: WayName, server: RealServer): string {
  const cases = CASES.filter((each) => each.way === way && each.model.server === server)
  const absent = cases.find(({ absence }) => absence !== undefined)
  if (absent !== undefined) return `${absent.absence}: ${shownResult(absent)}`
  if (cases.some(({ situation }) => situation === 'answered')) return 'yes'
  // All models on this server have only OpenAI routes, so no other way is tested with it.
  if (server === 'openai' && WAYS[way].dialect !== 'OpenAI') return ''
  throw new Error(`No case proves whether ${server} has the way "${way}".`)
}

function situationRow(name: SituationName): string[] {
  const { code, status, retryable } = resultOf(name)
  const ways = WAY_NAMES.filter((way) => CASES.some((each) => each.way === way && each.situation === name))
  const count = CASES.filter(({ situation }) => situation === name).length
  return [
    SITUATIONS[name].meaning,
    code === undefined ? 'none' : `\`${code}\``,
    status === undefined ? "the server's" : String(status),
    code === undefined ? '' : retryable ? 'yes' : 'no',
    `${count} ${count === 1 ? 'case' : 'cases'}: ${[...new Set(ways.map((way) => WAYS[way].operation))].join(', ')}`,
  ]
}

function errorRows(): string[][] {
  const errors = CASES.filter(
    ({ model, situation, absence }) =>
      model.server in SERVERS && situation !== 'answered' && absence === undefined,
  )
  const rows = new Map<string, ProtocolCase[]>()
  for (const each of errors) {
    const key = JSON.stringify([each.way, each.what])
    rows.set(key, [...(rows.get(key) ?? []), each])
  }
  const named = [...rows].map(([key, cases]) => {
    const [way, what] = JSON.parse(key) as [WayName, string]
    return { way, what, cases }
  })
  const inOrder = named.toSorted((one, other) => WAY_NAMES.indexOf(one.way) - WAY_NAMES.indexOf(other.way))
  return inOrder.map(({ way, what, cases }) => [
    shortName(way),
    what,
    ...SERVER_NAMES.map((server) =>
      cases
        .filter(({ model }) => model.server === server)
        .map(shownResult)
        .join(', '),
    ),
  ])
}

function waysOf(cases: readonly ProtocolCase[]): string[] {
  return [...new Set(cases.map(({ way }) => shortName(way)))]
}

function faultRows(cases: readonly ProtocolCase[]): [what: string, shown: string][] {
  const results = new Map<string, Set<string>>()
  for (const each of cases) {
    results.set(each.what, (results.get(each.what) ?? new Set()).add(shownResult(each)))
  }
  return [...results].map(([what, shown]) => {
    if (shown.size > 1) throw new Error(`"${what}" has several results: ${[...shown].join(', ')}`)
    return [what, [...shown].join()]
  })
}

function messageRows(): string[][] {
  const ofStreams = new Map(faultRows(GRPC_MESSAGE_CASES.filter(isStreamed)))
  const ofInfer = faultRows(GRPC_MESSAGE_CASES.filter((each) => !isStreamed(each)))
  return ofInfer.map(([what, shown]) => [what, shown, ofStreams.get(what)!])
}

function isStreamed({ way }: ProtocolCase): boolean {
  return WAYS[way].operation === 'infer_stream'
}

function shownResult({ situation, ...each }: ProtocolCase): string {
  const { code, status = each.status } = resultOf(situation)
  if (status === undefined) throw new Error(`The case of ${exposedName(each.model)} needs a status.`)
  if (code === undefined) return 'the answer'
  return `${code === 'upstream_error' ? 'rejected' : `\`${code}\``} ${status}`
}

// Returns the name of a way; the form is included only if another way differs in nothing but the form.
function shortName(way: WayName): string {
  const { operation, form, dialect, transport } = WAYS[way]
  const isOnly = WAY_NAMES.every((other) => other === way || !isSimilar(WAYS[other], WAYS[way]))
  const protocol = transport === 'HTTP' ? dialect : `${dialect}, ${transport}`
  return isOnly ? `\`${operation}\` (${protocol})` : `\`${operation}\` (${protocol}, ${form})`
}

function isSimilar(one: WayKind, other: WayKind): boolean {
  const { operation, dialect, transport } = other
  return one.operation === operation && one.dialect === dialect && one.transport === transport
}

function listed(names: readonly string[]): string {
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
