// The model server of a run, in a process that is never killed. Its answers prove which request it received, and it
// reports every call.
import { after, json, type Answer } from '../rig/answers.ts'
import { FakeModelServer } from '../rig/model-server.ts'
import type { ModelServerMood, ModelServerReport } from './model-server.ts'
import { answerTo, CLIENT_HEADER, numberOf, pairInBody, thinkingMs } from './request-shape.ts'

const REPORT_INTERVAL_MS = 100
const SLOW_MS = 800

let mood: ModelServerMood = 'well'
let calls: number[] = []
let strangers = 0

const answer: Answer = (reply, call) => {
  const { model, protocol, body } = call
  if (protocol === undefined) return sized(404, '{"detail":"Not Found"}')(reply, call)
  if (mood === 'busy') return sized(503, `{"error":"Model with name ${model} is not ready."}`)(reply, call)
  const client = String(call.headers[CLIENT_HEADER] ?? '')
  const text = body.toString()
  const pair = pairInBody(text)
  const index = /^chaos-(\d+)$/.exec(client)?.[1]
  if (pair === undefined || index === undefined) {
    strangers += 1
    return sized(400, '{"error":"not a request of this run"}')(reply, call)
  }
  calls.push(numberOf(pair, Number(index)))
  const delayMs = thinkingMs(pair) + (mood === 'slow' ? SLOW_MS : 0)
  after(delayMs, sized(200, answerTo(protocol, model, client, text)))(reply, call)
}

const server = await FakeModelServer.start({ answer, keeps: () => false })

function sized(status: number, body: string): Answer {
  return json(status, body, { 'content-length': String(Buffer.byteLength(body)) })
}

function report(): void {
  const message: ModelServerReport = { calls, strangers }
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
