// Reads streams of chat completions through MQTT 5.
import { connectAsync } from 'mqtt'

const MODEL = 'llm'

/**
 * Opens the connections.
 * @returns a function that sends one request, and resolves when its stream has ended; the streams are divided among
 *   the connections by `index`
 */
export async function readOverMqtt(port, connections) {
  const numbers = Array.from({ length: connections }, (_, index) => index)
  const clients = await Promise.all(numbers.map((number) => open(port, `reader${number}`)))
  return ({ index, ...stream }) => clients[index % connections](stream)
}

async function open(port, name) {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, clientId: name })
  const responseTopic = `infer/reply/${name}/${MODEL}/chat`
  const streams = new Map()
  let requests = 0
  client.on('message', (_, payload, { properties }) => {
    const receivedNs = process.hrtime.bigint()
    const id = properties.correlationData.toString('hex')
    const { seq, final, status, code } = properties.userProperties
    const stream = streams.get(id)
    if (stream === undefined) return
    if (status === undefined) return stream.onPart(Number(seq), payload.toString('utf8'), receivedNs)
    streams.delete(id)
    if (status === '200' && final === 'true') stream.resolve()
    else stream.reject(new Error(`status ${status} ${code ?? ''}: ${payload.toString('utf8')}`))
  })
  await client.subscribeAsync(responseTopic, { qos: 1 })
  return ({ body, onPart }) =>
    new Promise((resolve, reject) => {
      const correlationData = Buffer.alloc(4)
      correlationData.writeUInt32BE(requests++)
      streams.set(correlationData.toString('hex'), { onPart, resolve, reject })
      const properties = { responseTopic, correlationData, contentType: 'application/json' }
      client.publishAsync(`infer/request/${name}/${MODEL}/chat`, body, { qos: 1, properties }).catch(reject)
    })
}
