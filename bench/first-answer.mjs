// Measures the time from a connector's start to its first answer, by sending requests until one is answered.
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import mqttPacket from 'mqtt-packet'

const EVERY_MS = 5
const PROTOCOL = { protocolVersion: 5 }
const RESPONSE_TOPIC = 'infer/reply/first/iris/predict'

/**
 * Connects and subscribes before the measured time begins.
 * @returns {Promise<{ firstAnswer: (signal: AbortSignal) => Promise<number> }>} `firstAnswer` closes the connection
 *   after the first prediction, and resolves to the `performance.now()` of its arrival
 */
export async function openProbe(port) {
  const socket = connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  const parser = mqttPacket.parser(PROTOCOL)
  socket.on('data', (chunk) => parser.parse(chunk))
  const send = (packet) => socket.write(mqttPacket.generate(packet, PROTOCOL))
  const received = (command) =>
    new Promise((resolve, reject) => {
      parser.on('packet', (packet) => packet.cmd === command && resolve(packet))
      socket.on('error', reject)
    })

  await once(socket, 'connect')
  const subscribed = received('suback')
  send({
    cmd: 'connect',
    protocolId: 'MQTT',
    ...PROTOCOL,
    clean: true,
    clientId: 'first',
    keepalive: 0,
    properties: {},
  })
  send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: RESPONSE_TOPIC, qos: 0 }] })
  await subscribed

  return {
    async firstAnswer(signal) {
      try {
        return await ask({ parser, send, signal })
      } finally {
        socket.end(mqttPacket.generate({ cmd: 'disconnect', ...PROTOCOL }, PROTOCOL))
      }
    },
  }
}

// QoS 0: requests sent before the connector has subscribed are dropped, not queued.
async function ask({ parser, send, signal }) {
  let answeredAt
  let lastOther = 'nothing'
  parser.on('packet', (packet) => {
    if (packet.cmd !== 'publish') return
    const text = packet.payload.toString()
    if (text.includes('predictions')) answeredAt ??= performance.now()
    else lastOther = text
  })
  for (let count = 1; answeredAt === undefined; count++) {
    if (signal.aborted) throw new Error(`no prediction; the last answer was: ${lastOther}`)
    send({
      cmd: 'publish',
      topic: 'infer/request/first/iris/predict',
      payload: '{"instances":[[6.8,2.8,4.8,1.4]]}',
      qos: 0,
      dup: false,
      retain: false,
      properties: { responseTopic: RESPONSE_TOPIC, correlationData: Buffer.from(`first-${count}`) },
    })
    await delay(EVERY_MS)
  }
  return answeredAt
}
