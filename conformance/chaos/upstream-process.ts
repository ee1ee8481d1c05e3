// A model server of its own process, never killed: it answers what only the right request gets, and counts its calls.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answerTo, CLIENT_HEADER, numberOf, pairInBody, thinkingMs } from './request-shape.ts'
import type { UpstreamMood, UpstreamReport } from './upstream.ts'

const REPORT_INTERVAL_MS = 100
const SLOW_MS = 800

let mood: UpstreamMood = 'well'
let calls: number[] = []
let strangers = 0

const server = createServer({ keepAlive: true, keepAliveTimeout: 60_000 }, (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('error', () => {})
  response.on('error', () => {})
  request.on('end', () => serve(request, response, Buffer.concat(chunks).toString('utf8')))
})

function serve(request: IncomingMessage, response: ServerResponse, body: string): void {
  const [, version, model] = /^\/(v[12])\/models\/([^/:]+)/.exec(request.url ?? '') ?? []
  if (version === undefined || model === undefined) return send(response, 404, '{"detail":"Not Found"}')
  const protocol = version === 'v1' ? 'v1' : 'v2'
  if (request.method === 'GET') return send(response, 200, description(protocol, model, request.url ?? ''))
  if (mood === 'busy') return send(response, 503, `{"error":"Model with name ${model} is not ready."}`)
  const client = String(request.headers[CLIENT_HEADER] ?? '')
  const pair = pairInBody(body)
  const index = /^chaos-(\d+)$/.exec(client)?.[1]
  if (pair === undefined || index === undefined) {
    strangers += 1
    return send(response, 400, '{"error":"not a request of this run"}')
  }
  calls.push(numberOf(pair, Number(index)))
  const answer = answerTo(protocol, model, client, body)
  setTimeout(() => send(response, 200, answer), thinkingMs(pair) + (mood === 'slow' ? SLOW_MS : 0))
}

function send(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  })
  response.end(body)
}

function description(protocol: 'v1' | 'v2', model: string, path: string): string {
  if (protocol === 'v1' || path.endsWith('/ready')) return JSON.stringify({ name: model, ready: true })
  const tensor = { name: 'x', datatype: 'INT64', shape: [1] }
  return JSON.stringify({ name: model, versions: ['1'], platform: 'test', inputs: [tensor], outputs: [] })
}

function report(): void {
  const message: UpstreamReport = { calls, strangers }
  calls = []
  // The run may have ended a moment ago.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

process.on('message', (message: { readonly mood: UpstreamMood } | { readonly flush: true }) => {
  if ('mood' in message) mood = message.mood
  else report()
})
process.on('disconnect', () => process.exit(0))
setInterval(() => {
  if (calls.length > 0) report()
}, REPORT_INTERVAL_MS)
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))
