// The model server of `npm run bench:batching`: handles one call at a time, which takes a fixed time plus a time per
// instance.
import { createServer } from 'node:http'
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import { answerCalls } from './worker.mjs'

// Timers are late by up to about a millisecond, so the last part of a call is spent turning the event loop instead.
const TIMER_MS = 1.5

let perCallMs = 0
let perInstanceMs = 0
let calls = 0
let busy = Promise.resolve()

const server = createServer({ noDelay: true, keepAliveTimeout: 600_000 }, (request, response) => {
  if (request.method === 'GET') {
    const isReady = request.url === '/v1/models/iris'
    response.writeHead(isReady ? 200 : 404, { 'content-type': 'application/json' })
    return response.end(isReady ? '{"name":"iris","ready":true}' : '{"error":"not found"}')
  }
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    busy = busy.then(() => answer(Buffer.concat(chunks).toString('utf8'), response))
  })
})

async function answer(text, response) {
  const { instances } = JSON.parse(text)
  calls += 1
  const end = performance.now() + perCallMs + instances.length * perInstanceMs
  const sleepMs = end - performance.now() - TIMER_MS
  if (sleepMs > 0) await delay(sleepMs)
  while (performance.now() < end) await turn()
  const body = JSON.stringify({ predictions: instances.map(() => 1) })
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
  response.end(body)
}

answerCalls({
  listen: (options) => {
    perCallMs = options.perCallMs
    perInstanceMs = options.perInstanceMs
    return new Promise((resolve, reject) => {
      server.on('error', reject)
      server.listen(0, '127.0.0.1', () => resolve(server.address().port))
    })
  },
  /** Number of calls so far. */
  calls: () => calls,
})
