// The clients of `npm run bench:streams`: read the streams through MQTT, or directly from the model server. A stream
// that has ended is followed by the next request.
import { randomInt } from 'node:crypto'
import { readOverHttp } from './streams-http.mjs'
import { readOverMqtt } from './streams-mqtt.mjs'
import { StreamTally } from './streams-tally.mjs'
import { answerCalls } from './worker.mjs'

// Delay after an error, so that a server that refuses all requests is not flooded.
const RETRY_MS = 100

const tally = new StreamTally()
let isStopping = false
let loops = []

// Sends one request after the other. The first stream has a random length, so that the streams do not end together.
async function loop(read, tokens, index) {
  for (let length = randomInt(1, tokens + 1); !isStopping; length = tokens) {
    const stream = tally.open(length)
    try {
      await read({ index, body: chatBody(length), onPart: stream.part })
      stream.end()
    } catch (error) {
      tally.fail(error.message)
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }
}

function chatBody(tokens) {
  const messages = [{ role: 'user', content: 'Describe the state of the machine in the hall.' }]
  return JSON.stringify({ model: 'llm', messages, max_tokens: tokens, stream: true })
}

answerCalls({
  /**
   * Starts the streams.
   * @param {{ mqttPort?: number, httpPort: number, streams: number, connections: number, tokens: number }} options the
   *   streams are read through MQTT if `mqttPort` is set; `tokens` is the length of a stream
   */
  async start({ mqttPort, httpPort, streams, connections, tokens }) {
    const read = mqttPort === undefined ? readOverHttp(httpPort) : await readOverMqtt(mqttPort, connections)
    loops = Array.from({ length: streams }, (_, index) => loop(read, tokens, index))
  },
  begin: () => tally.begin(),
  end: () => tally.end(),
  /** Waits for the end of all streams. @returns the figures and the counts */
  async finish() {
    isStopping = true
    await Promise.all(loops)
    return { ...tally.figures, ...tally.counts }
  },
})
