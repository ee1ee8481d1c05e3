// The model server of a run, in a process that is never killed. Its answers prove which request it received, and it
// reports every call.
import { after, json, type Answer } from '../rig/answers.ts'
import { FakeModelServer, ready } from '../rig/model-server.ts'
import type { ModelServerMood, ModelServerReport } from './model-server.ts'
import {
  answerTo,
  answerToRows,
  CLIENT_HEADER,
  MODELS,
  numberOf,
  numberOfRow,
  pairInBody,
  rowsInBody,
  thinkingMs,
} from './request-shape.ts'
import { breakOf, gapMs, partsOf, partTo } from './stream-shape.ts'

const REPORT_INTERVAL_MS = 100
const SLOW_MS = 800
const CHAT_PATH = '/v1/chat/completions'

let mood: ModelServerMood = 'well'
let calls: number[] = []
let strangers = 0
let shared = 0
let streams = 0

const answer: Answer = (reply, call) => {
  const { model, protocol, path } = call
  const isChat = path === CHAT_PATH
  if (protocol === undefined && !isChat) return sized(404, '{"detail":"Not Found"}')(reply, call)
  if (mood === 'busy') return sized(503, `{"error":"Model with name ${model} is not ready."}`)(reply, call)
  const text = call.body.toString()
  if (MODELS.some(({ name, kind }) => name === model && kind === 'batch')) {
    return answerRows(protocol!, text)(reply, call)
  }
  const client = String(call.headers[CLIENT_HEADER] ?? '')
  const pair = pairInBody(text)
  const index = /^chaos-(\d+)$/.exec(client)?.[1]
  if (pair === undefined || index === undefined) return stranger(reply, call)
  calls.push(numberOf(pair, Number(index)))
  const delayMs = thinkingMs(pair) + slowness()
  if (isChat) after(delayMs, stream(client, pair))(reply, call)
  else after(delayMs, sized(200, answerTo(protocol!, model, client, text)))(reply, call)
}

const stranger: Answer = (reply, call) => {
  strangers += 1
  sized(400, '{"error":"not a request of this run"}')(reply, call)
}

// Lists the streaming models, and answers 405 for the path of a streamed operation, which shows that the path
// exists. Passes all other requests to `ready`.
const describe: Answer = (reply, call) => {
  const data = MODELS.filter(({ kind }) => kind === 'stream').map(({ name: id }) => ({ id, object: 'model' }))
  if (call.path === '/v1/models') json(200, { object: 'list', data })(reply, call)
  else if (call.path === CHAT_PATH) json(405, { error: 'Method Not Allowed' })(reply, call)
  else ready(reply, call)
}

const server = await FakeModelServer.start({ answer, describe, keeps: () => false })

function slowness(): number {
  return mood === 'slow' ? SLOW_MS : 0
}

function answerRows(protocol: 'v1' | 'v2', text: string): Answer {
  return (reply, call) => {
    const rows = rowsInBody(text)
    const numbers = new Set(rows.map(numberOfRow))
    if (numbers.has(undefined)) return stranger(reply, call)
    for (const number of numbers) calls.push(number!)
    if (numbers.size > 1) shared += 1
    const [first] = numbers
    const delayMs = thinkingMs(first!) + slowness()
    after(delayMs, sized(200, answerToRows(protocol, call.model, rows)))(reply, call)
  }
}

function stream(client: string, pair: number): Answer {
  return ({ response, socket }) => {
    streams += 1
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const broken = breakOf(pair)
    let sent = 0
    const next = (): void => {
      if (socket.destroyed) return
      if (sent === broken) return void socket.resetAndDestroy()
      if (sent === partsOf(pair)) return void response.end('data: [DONE]\n\n')
      response.write(`data: ${partTo(client, pair, sent)}\n\n`)
      sent += 1
      const waitMs = gapMs(pair, sent)
      if (waitMs === 0 && sent !== broken) next()
      else setTimeout(next, waitMs)
    }
    next()
  }
}

function sized(status: number, body: string): Answer {
  return json(status, body, { 'content-length': String(Buffer.byteLength(body)) })
}

function report(): void {
  const message: ModelServerReport = { calls, strangers, shared, streams }
  calls = []
  // The parent process may have exited just before.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

process.on('message', (message: { readonly mood: ModelServerMood } | { readonly flush: true }) => {
  if ('mood' in message) mood = message.mood
  else report()
})
process.on('disconnect', () => process.exit(0))
setInterval(() => {
  if (calls.length > 0) report()
}, REPORT_INTERVAL_MS)
process.send!({ port: server.port })
