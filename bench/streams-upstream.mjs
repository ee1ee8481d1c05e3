// The model server of `npm run bench:streams`: streams chat completions at a fixed rate, through the OpenAI-compatible
// API. Each chunk contains its number and the time at which it was written.
import { createUpstream, listen, readBody, sendJson } from './upstream-http.mjs'
import { answerCalls } from './worker.mjs'

const EVENT_STREAM = { 'content-type': 'text/event-stream; charset=utf-8' }
const MODELS = '{"object":"list","data":[{"id":"llm","object":"model"}]}'
const CHAT = '/v1/chat/completions'

let periodMs = 0
let isTogether = false
let open = 0

const server = createUpstream((request, response) => {
  if (request.method === 'GET' && request.url === '/v1/models') return sendJson(response, 200, MODELS)
  if (request.method !== 'POST' || request.url !== CHAT) {
    return sendJson(response, 404, '{"error":{"message":"not found"}}')
  }
  readBody(request, (body) => stream(response, JSON.parse(body.toString('utf8')).max_tokens))
})

function stream(response, tokens) {
  let timer
  let number = 0
  const firstAtMs = firstTokenAt()
  open += 1
  response.on('close', () => {
    clearTimeout(timer)
    open -= 1
  })
  response.writeHead(200, EVENT_STREAM)
  const wait = () => {
    timer = setTimeout(emit, firstAtMs + number * periodMs - performance.now())
  }
  // A timer that fires late must not lower the rate, so all tokens that are due are written.
  const emit = () => {
    while (number < tokens && firstAtMs + number * periodMs <= performance.now()) {
      response.write(`data: ${chunk(number, number === tokens - 1)}\n\n`)
      number += 1
    }
    if (number < tokens) wait()
    else response.end('data: [DONE]\n\n')
  }
  wait()
}

// A server that generates the tokens of all its streams in common steps also writes them together. The tokens of
// several servers are spread evenly.
function firstTokenAt() {
  const now = performance.now()
  return isTogether ? Math.ceil(now / periodMs) * periodMs : now + Math.random() * periodMs
}

function chunk(number, isLast) {
  const finish = isLast ? '"stop"' : 'null'
  return (
    `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"llm",` +
    `"choices":[{"index":0,"delta":{"content":" token"},"finish_reason":${finish}}],` +
    `"number":${number},"sent_ns":"${process.hrtime.bigint()}"}`
  )
}

answerCalls({
  listen(options) {
    periodMs = 1000 / options.rate
    isTogether = options.together
    return listen(server)
  },
  /** Number of streams that have not ended. */
  open: () => open,
})
