// The model server of `npm run bench:batching`: handles one call at a time. Each call takes a fixed time, plus a time
// for each instance.
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import { createUpstream, listen, readBody, sendJson } from './upstream-http.mjs'
import { answerCalls } from './worker.mjs'

// Timers fire up to about a millisecond late, so the last part of a call is spent spinning the event loop instead.
const TIMER_MS = 1.5

let perCallMs = 0
let perInstanceMs = 0
let calls = 0
let busy = Promise.resolve()

const server = createUpstream((request, response) => {
  if (request.method === 'GET') {
    if (request.url === '/v1/models/iris') return sendJson(response, 200, '{"name":"iris","ready":true}')
    return sendJson(response, 404, '{"error":"not found"}')
  }
  readBody(request, (body) => {
    busy = busy.then(() => answer(body.toString('utf8'), response))
  })
})

async function answer(text, response) {
  const { instances } = JSON.parse(text)
  calls += 1
  const end = performance.now() + perCallMs + instances.length * perInstanceMs
  const sleepMs = end - performance.now() - TIMER_MS
  if (sleepMs > 0) await delay(sleepMs)
  while (performance.now() < end) await turn()
  sendJson(response, 200, JSON.stringify({ predictions: instances.map(() => 1) }))
}

answerCalls({
  listen(options) {
    perCallMs = options.perCallMs
    perInstanceMs = options.perInstanceMs
    return listen(server)
  },
  /** Number of calls so far. */
  calls: () => calls,
})
