// Tests the transport with a scripted broker, for packets that a real Mosquitto never sends.
import { once } from 'node:events'
import { createServer, Socket, type AddressInfo, type Server } from 'node:net'
import { generate, parser, type IPublishPacket, type Packet } from 'mqtt-packet'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { connect, InferwireError } from './index.ts'

type Answer = (packet: Packet, send: (packet: Packet) => void, socket: Socket) => void

let server: Server
let url: string
let answer: Answer
const sockets = new Set<Socket>()

// Accepts clients and subscriptions; each test handles the other packets.
const accept: Answer = (packet, send) => {
  if (packet.cmd === 'connect') send({ cmd: 'connack', reasonCode: 0, sessionPresent: false })
  if (packet.cmd === 'subscribe') {
    send({ cmd: 'suback', messageId: packet.messageId!, granted: packet.subscriptions.map(({ qos }) => qos) })
  }
}
const puback =
  (reasonCode: number): Answer =>
  (packet, send, socket) => {
    if (packet.cmd === 'publish') send({ cmd: 'puback', messageId: packet.messageId!, reasonCode })
    else accept(packet, send, socket)
  }

function replyTo(request: IPublishPacket, send: (packet: Packet) => void): void {
  const { responseTopic = request.topic.replace('/request/', '/reply/'), correlationData } =
    request.properties!
  send({
    cmd: 'publish',
    topic: responseTopic,
    payload: '{}',
    qos: 0,
    dup: false,
    retain: false,
    properties: { correlationData: correlationData!, userProperties: { status: '200' } },
  })
}

beforeEach(async () => {
  answer = accept
  server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    let version = 5
    const packets = parser()
    packets.on('packet', (packet: Packet) => {
      if (packet.cmd === 'connect') version = packet.protocolVersion ?? 4
      answer(packet, (sent) => socket.write(generate(sent, { protocolVersion: version })), socket)
    })
    socket.on('data', (bytes) => packets.parse(bytes))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(() => {
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  server.close()
})

const failureOf = async (promise: Promise<unknown>): Promise<InferwireError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(InferwireError)
  return error as InferwireError
}

test.each([
  [0x10, 'no_connector', true],
  [0x87, 'not_authorized', false],
  [0x90, 'bad_topic', false],
  [0x97, 'overloaded', true],
  [0x83, 'broker_refused', false],
])(
  'PUBACK reason code %i ends the request at once with the error %s',
  async (reasonCode, code, retryable) => {
    answer = puback(reasonCode)
    const client = await connect(url)
    expect(await failureOf(client.infer('iris', { instances: [] }))).toMatchObject({
      code,
      retryable,
      model: 'iris',
      body: undefined,
    })
    await client.close()
  },
)

test.each([
  [5, 0x86],
  [5, 0x87],
  ['3.1.1', 4],
  ['3.1.1', 5],
] as const)('MQTT %s: connect() fails with not_authorized on CONNACK code %i', async (mqttVersion, code) => {
  answer = (_packet, send) =>
    send({ cmd: 'connack', reasonCode: code, returnCode: code, sessionPresent: false })
  const error = await failureOf(connect(url, { mqttVersion, username: 'cam7', password: 'secret' }))
  expect(error).toMatchObject({ code: 'not_authorized', retryable: false })
  expect(error.message).toBe(`The broker at ${url} refused user "cam7".`)
})

test('suggests mqttVersion if the broker does not support MQTT 5', async () => {
  answer = (_packet, send) => send({ cmd: 'connack', reasonCode: 0x84, sessionPresent: false })
  expect((await failureOf(connect(url))).message).toMatch(
    /does not support MQTT 5; set mqttVersion to "3.1.1"/,
  )
})

test('suggests TLS when the port resets a connection without TLS', async () => {
  answer = (_packet, _send, socket) => socket.resetAndDestroy()
  expect((await failureOf(connect(url))).message).toMatch(
    /ECONNRESET\. If this port uses TLS, use mqtts:\/\/\.$/,
  )
})

test('connect() fails with broker_unreachable if a broker disconnects, is silent or does not use MQTT', async () => {
  answer = (_packet, _send, socket) => socket.destroy()
  expect(await failureOf(connect(url))).toMatchObject({ code: 'broker_unreachable', retryable: true })
  answer = () => {}
  expect((await failureOf(connect(url, { connectTimeoutMs: 100 }))).message).toMatch(/connack timeout/)
  answer = (_packet, _send, socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  expect(await failureOf(connect(url))).toMatchObject({ code: 'broker_unreachable' })
})

test('fails with broker_unreachable if the port is closed, and reports the address and the cause', async () => {
  server.close()
  await once(server, 'close')
  const error = await failureOf(connect(url.replace('//', '//user:secret@')))
  expect(error.message).toMatch(new RegExp(`^Could not connect to the broker at ${url}: .*ECONNREFUSED`))
  expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' })
})

test('fails with not_authorized if the broker refuses the reply subscription', async () => {
  answer = (packet, send, socket) => {
    if (packet.cmd === 'subscribe') send({ cmd: 'suback', messageId: packet.messageId!, granted: [0x87] })
    else accept(packet, send, socket)
  }
  expect(await failureOf(connect(url))).toMatchObject({ code: 'not_authorized' })
})

test("sends no more unacknowledged requests than the broker's Receive Maximum", async () => {
  const waiting: number[] = []
  const refuse = (send: (packet: Packet) => void): void => {
    for (const messageId of waiting.splice(0)) send({ cmd: 'puback', messageId, reasonCode: 0x97 })
  }
  let atSubscribe: number | undefined
  answer = (packet, send, socket) => {
    if (packet.cmd === 'connect') {
      send({ cmd: 'connack', reasonCode: 0, sessionPresent: false, properties: { receiveMaximum: 3 } })
    } else if (packet.cmd === 'publish') {
      waiting.push(packet.messageId!)
      if (atSubscribe !== undefined) refuse(send)
    } else accept(packet, send, socket)
    if (packet.cmd === 'subscribe' && packet.subscriptions[0]!.topic === 'infer/models/iris') {
      // The client sent as many requests as Receive Maximum allows before it sent SUBSCRIBE, so these requests
      // have already arrived.
      atSubscribe = waiting.length
      refuse(send)
    }
  }
  const client = await connect(url)
  const requests = Array.from({ length: 10 }, () => failureOf(client.infer('iris', { instances: [] })))
  void client.model('iris').catch(() => {})
  for (const error of await Promise.all(requests)) expect(error).toMatchObject({ code: 'overloaded' })
  expect(atSubscribe).toBe(3)
  await client.close()
})

test("sends its Receive Maximum, and disables Nagle's algorithm on every connection", async () => {
  const setNoDelay = vi.spyOn(Socket.prototype, 'setNoDelay')
  let taken: unknown
  const second = new AbortController()
  let connections = 0
  answer = (packet, send, socket) => {
    if (packet.cmd === 'connect') taken = packet.properties?.receiveMaximum
    accept(packet, send, socket)
    if (packet.cmd === 'subscribe' && ++connections === 1) setImmediate(() => socket.destroy())
    else if (packet.cmd === 'subscribe') second.abort()
  }
  const isSecond = once(second.signal, 'abort')
  const client = await connect(url)
  await isSecond
  expect(taken).toBe(65_535)
  expect(setNoDelay.mock.calls).toEqual([[true], [true]])
  setNoDelay.mockRestore()
  await client.close()
})

test('fails with broker_unreachable after connectTimeoutMs without a SUBACK', async () => {
  answer = (packet, send, socket) => {
    if (packet.cmd !== 'subscribe') accept(packet, send, socket)
  }
  const error = await failureOf(connect(url, { connectTimeoutMs: 100 }))
  expect(error).toMatchObject({ code: 'broker_unreachable' })
  expect(error.message).toBe(`The broker at ${url} did not answer SUBSCRIBE within 100 ms.`)
})

test('resends a request even if its previous repeat found no subscriber, because the connector may reconnect', async () => {
  let publishes = 0
  answer = (packet, send, socket) => {
    if (packet.cmd !== 'publish') {
      accept(packet, send, socket)
      return
    }
    publishes++
    send({ cmd: 'puback', messageId: packet.messageId!, reasonCode: publishes === 2 ? 0x10 : 0 })
    if (publishes === 1) socket.end()
    if (publishes === 3) replyTo(packet, send)
  }
  const client = await connect(url)
  const reply = await client.infer('iris', {}, { repeatAfterMs: Infinity })
  expect(reply).toMatchObject({ attempts: 3 })
  await client.close()
})

test('PUBACK 0x97 for a repeat does not end a request that the broker has already accepted', async () => {
  const codes = [0, 0x97, 0x97]
  answer = (packet, send, socket) => {
    if (packet.cmd !== 'publish') {
      accept(packet, send, socket)
      return
    }
    send({ cmd: 'puback', messageId: packet.messageId!, reasonCode: codes.shift() ?? 0x97 })
    if (codes.length === 0) replyTo(packet, send)
  }
  const client = await connect(url)
  const { attempts } = await client.infer('iris', {}, { repeatAfterMs: 10 })
  // A further copy of the request may be in flight when the reply arrives.
  expect(attempts).toBeGreaterThanOrEqual(3)
  await client.close()
})

test("rejects a body above the broker's Maximum Packet Size without sending it", async () => {
  const seen: string[] = []
  answer = (packet, send, socket) => {
    seen.push(packet.cmd)
    if (packet.cmd === 'connect') {
      send({ cmd: 'connack', reasonCode: 0, sessionPresent: false, properties: { maximumPacketSize: 1_000 } })
    } else accept(packet, send, socket)
  }
  const client = await connect(url)
  const error = await failureOf(client.infer('iris', 'x'.repeat(1_000)))
  expect(error).toMatchObject({ code: 'payload_too_large', status: 413, retryable: false })
  expect(error.message).toMatch(/is a packet of 1\d{3} bytes; the broker accepts at most 1000/)
  expect(seen).not.toContain('publish')
  await client.close()
})

test('after DISCONNECT with reason code 0x95, only the oversized request fails', async () => {
  answer = (packet, send, socket) => {
    if (packet.cmd !== 'publish') accept(packet, send, socket)
    else if (packet.payload.length > 1_000) {
      send({ cmd: 'disconnect', reasonCode: 0x95 })
      socket.end()
    } else puback(0x97)(packet, send, socket)
  }
  const client = await connect(url)
  const large = failureOf(client.infer('iris', 'x'.repeat(2_000)))
  const small = failureOf(client.infer('iris', 'x'))
  expect(await large).toMatchObject({ code: 'payload_too_large' })
  expect(await small).toMatchObject({ code: 'overloaded' })
  await client.close()
})

test('reconnects after a malformed packet', async () => {
  let connections = 0
  answer = (packet, send, socket) => {
    if (packet.cmd === 'connect') connections++
    // Sends a Response Topic that is longer than its packet, and a packet of the reserved type 0.
    if (packet.cmd === 'publish' && connections === 1) {
      socket.write(Buffer.from([0x30, 0x07, 0x00, 0x01, 0x61, 0x03, 0x08, 0x00, 0x05, 0x00, 0x00]))
    } else puback(0x97)(packet, send, socket)
  }
  const client = await connect(url)
  expect(await failureOf(client.infer('iris', {}))).toMatchObject({ code: 'overloaded' })
  expect(connections).toBe(2)
  expect(client.stats.reconnects).toBe(1)
  await client.close()
})

test('close ends a client that is connecting or has an unacknowledged request', async () => {
  const client = await connect(url)
  const request = failureOf(client.infer('iris', {}))
  server.close()
  for (const socket of sockets) socket.destroy()
  await client.close()
  expect(await request).toMatchObject({ code: 'cancelled' })
})
