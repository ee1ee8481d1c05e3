// Reads streams of chat completions directly from the model server.
import { Agent, request } from 'node:http'

/** Returns a function that sends one request, and resolves when its stream has ended. */
export function readOverHttp(port) {
  const agent = new Agent({ keepAlive: true, noDelay: true })
  const options = {
    agent,
    port,
    host: '127.0.0.1',
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json' },
  }
  return ({ body, onPart }) =>
    new Promise((resolve, reject) => {
      const call = request(options, (response) => {
        if (response.statusCode !== 200) return reject(new Error(`HTTP status ${response.statusCode}`))
        readEvents(response, onPart, resolve)
        response.on('error', reject)
      })
      call.on('error', reject)
      call.end(body)
    })
}

function readEvents(response, onPart, onDone) {
  let text = ''
  let seq = 0
  response.setEncoding('utf8').on('data', (data) => {
    const receivedNs = process.hrtime.bigint()
    const events = (text + data).split('\n\n')
    text = events.pop()
    for (const event of events) {
      const chunk = event.slice('data: '.length)
      if (chunk !== '[DONE]') onPart(seq++, chunk, receivedNs)
    }
  })
  response.on('end', onDone)
}
