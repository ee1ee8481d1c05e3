// Sends control packets from a broker on real sockets. Each packet violates the specification in one field.
import { afterEach, expect, test } from 'vitest'
import { bytes, startSession, ScriptedBroker, type TestSession } from './testing/scripted-broker.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const CONNACK = { 5: '20 03 00 00 00', 4: '20 02 00 00' }
const SUBACK = { 5: '90 04 ff ff 00 01', 4: '90 03 ff ff 01' }

interface Answers {
  readonly connack?: string
  readonly suback?: string
  readonly after?: string
}

// The broker answers the first connection with the given bytes, and does not answer later connections.
async function connect(answers: Answers, version: 4 | 5 = 5): Promise<TestSession> {
  const broker = new ScriptedBroker(version, ({ cmd }, connection) => {
    if (connection > 1) return undefined
    if (cmd === 'connect') return bytes(answers.connack ?? CONNACK[version])
    if (cmd === 'subscribe') return bytes((answers.suback ?? SUBACK[version]) + (answers.after ?? ''))
    return undefined
  })
  closing.push(() => broker.stop())
  const testSession = startSession(await broker.start(), {
    protocolVersion: version,
    reconnect: { minMs: 60_000, maxMs: 60_000 },
    random: () => 1,
  })
  closing.unshift(() => testSession.session.close())
  return testSession
}

async function errorAfter(answers: Answers, version?: 4 | 5): Promise<[Error, TestSession]> {
  const testSession = await connect(answers, version)
  await testSession.until(() => testSession.errors.length > 0)
  return [testSession.errors[0]!, testSession]
}

test.each<[string, string, RegExp, (4 | 5)?]>([
  ['a property of PUBLISH', '20 05 00 00 02 01 01', /CONNACK with property 0x1, which is not allowed there/],
  ['a property that does not exist', '20 05 00 00 02 7e 01', /property 0x7e, which is not allowed there/],
  ['bytes after its properties', '20 04 00 00 00 99', /CONNACK has extra bytes after its properties/],
  ['bytes after its return code', '20 03 00 00 00', /CONNACK has extra bytes after its return code/, 4],
  [
    'no properties, as from an MQTT 3.1.1 broker',
    '20 02 00 00',
    /responded in MQTT 3\.1\.1.*broker\.mqttVersion: 3\.1\.1/,
  ],
  ['Session Present but no properties', '20 02 01 00', /responded in MQTT 3\.1\.1/],
  ['reserved flags in its fixed header', '21 03 00 00 00', /reserved flags in its fixed header/],
  ['reserved flags', '20 03 02 00 00', /reserved flags/],
  ['Session Present and a refusal', '20 03 01 87 00', /with a refusal and with Session Present/],
  ['Retain Available 2', '20 05 00 00 02 25 02', /property 0x25 and value 2, instead of 0 or 1/],
  ['Shared Subscription Available 255', '20 05 00 00 02 2a ff', /property 0x2a and value 255/],
  ['Server Keep Alive 0 twice', '20 09 00 00 06 13 00 00 13 00 00', /property 0x13 twice/],
  ['a Reason String that is not UTF-8', '20 07 00 00 04 1f 00 01 ff', /not UTF-8/],
  ['a user property that is not UTF-8', '20 0a 00 00 07 26 00 01 61 00 01 80', /not UTF-8/],
  ['a user property without a value', '20 07 00 00 04 26 00 01 61', /extends past/],
])('rejects CONNACK with %s', async (_what, connack, reason, version) => {
  const [error, { timesReady }] = await errorAfter({ connack }, version)
  expect([error.name, timesReady]).toEqual(['MalformedPacket', 0])
  expect(error.message).toMatch(reason)
})

test.each<[string, string, RegExp, (4 | 5)?]>([
  ['an unknown Packet Identifier', '90 04 00 07 00 01', /Packet Identifier 7 does not match/],
  ['Packet Identifier 0', '90 04 00 00 00 01', /Packet Identifier 0/],
  ['the packet type of UNSUBACK', 'b0 04 ff ff 00 00', /UNSUBACK .* does not match/],
  ['no reason code', '90 03 ff ff 00', /0 reason codes for 1 filters/],
  ['two reason codes', '90 05 ff ff 00 01 01', /2 reason codes for 1 filters/],
  ['a QoS above the requested one', '90 04 ff ff 00 02', /0x2 for a subscription with QoS 1/],
  ['a reason code of another packet', '90 04 ff ff 00 11', /0x11 for a subscription with QoS 1/],
  ['an MQTT 5 reason code in MQTT 3.1.1', '90 03 ff ff 87', /0x87 for a subscription/, 4],
  ['a Subscription Identifier', '90 06 ff ff 02 0b 05 01', /SUBACK with property 0xb/],
  ['reserved flags in its fixed header', '92 04 ff ff 00 01', /reserved flags/],
])('rejects SUBACK with %s, and does not become ready', async (_what, suback, reason, version) => {
  const [error, { timesReady }] = await errorAfter({ suback }, version)
  expect([error.name, timesReady]).toEqual(['MalformedPacket', 0])
  expect(error.message).toMatch(reason)
})

test.each<[string, string, RegExp, (4 | 5)?]>([
  ['a SUBACK that answers no SUBSCRIBE', SUBACK[5], /does not match/],
  ['an UNSUBACK that answers no UNSUBSCRIBE', 'b0 04 ff ff 00 00', /does not match/],
  ['a PUBACK with Packet Identifier 0', '40 02 00 00', /Packet Identifier 0/],
  ['a PUBACK with a Server Reference', '40 07 00 01 00 03 1c 00 00', /PUBACK with property 0x1c/],
  ['a PUBACK with bytes after its properties', '40 05 00 01 00 00 00', /PUBACK has extra bytes after/],
  ['a PUBACK with reserved flags', '42 02 00 01', /reserved flags/],
  ['a PUBACK with a reason code in MQTT 3.1.1', '40 03 00 01 00', /PUBACK has extra bytes after/, 4],
  ['a PINGRESP with a body', 'd0 01 00', /PINGRESP with a body/],
  ['a PINGRESP with reserved flags', 'd1 00', /reserved flags/],
  [
    'a DISCONNECT with a Session Expiry Interval',
    'e0 07 8b 05 11 00 00 00 05',
    /DISCONNECT with property 0x11/,
  ],
  ['a DISCONNECT with bytes after its properties', 'e0 03 8b 00 00', /DISCONNECT has extra bytes after/],
  ['a DISCONNECT from an MQTT 3.1.1 broker', 'e0 00', /which an MQTT 3\.1\.1 server never sends/, 4],
  ['an AUTH', 'f0 02 00 00', /packet type 15, which no client expects/],
  ['a PUBREL', '62 02 00 01', /packet type 6, which no client expects/],
])('rejects %s', async (_what, after, reason, version) => {
  const [error, { timesReady }] = await errorAfter({ after }, version)
  expect([error.name, timesReady]).toEqual(['MalformedPacket', 1])
  expect(error.message).toMatch(reason)
})

test.each<[string, string, RegExp, (4 | 5)?]>([
  ['a topic that is not UTF-8', '30 05 00 02 c3 28 00', /not UTF-8 \(MQTT-1\.5\.4-1\)/],
  ['a topic that is not UTF-8', '30 04 00 02 c3 28', /not UTF-8/, 4],
  ['a topic with an overlong "/"', '30 06 00 03 61 c0 af 00', /not UTF-8/],
  ['a topic with a surrogate', '30 06 00 03 ed a0 80 00', /not UTF-8/],
  ['a topic that ends in the middle of a character', '30 05 00 02 61 e2 00', /not UTF-8/],
  ['a topic with U+FFFD and a byte that is not UTF-8', '30 07 00 04 ef bf bd ff 00', /not UTF-8/],
  ['a topic with U+0000', '30 06 00 03 61 00 62 00', /U\+0000 \(MQTT-1\.5\.4-2\)/],
  ['a Response Topic that is not UTF-8', '30 08 00 01 61 04 08 00 01 ff', /^PUBLISH to "a": .* not UTF-8/],
  ['a Content Type that is not UTF-8', '30 08 00 01 61 04 03 00 01 80', /not UTF-8/],
  ['a user property whose name is not UTF-8', '30 0a 00 01 61 06 26 00 01 fe 00 00', /not UTF-8/],
  ['a user property whose value is not UTF-8', '30 0b 00 01 61 07 26 00 01 61 00 01 bf', /not UTF-8/],
  ['a user property with U+0000', '30 0b 00 01 61 07 26 00 01 61 00 01 00', /U\+0000/],
  ['Subscription Identifier 0', '30 06 00 01 61 02 0b 00', /Subscription Identifier 0/],
  ['QoS 3', '36 06 00 01 61 00 01 00', /QoS 3/],
])('rejects PUBLISH with %s, and does not execute it', async (_what, after, reason, version) => {
  const [error, { deliveries }] = await errorAfter({ after }, version)
  expect([error.name, deliveries]).toEqual(['MalformedPacket', []])
  expect(error.message).toMatch(reason)
})

test.each<[string, string, object]>([
  ['DUP and QoS 0', '38 04 00 01 61 00', { topic: 'a', dup: true }],
  ['a Payload Format Indicator of 2', '30 06 00 01 61 02 01 02', { topic: 'a' }],
  ['a Subscription Identifier of another program', '30 06 00 01 61 02 0b 05', { topic: 'a' }],
  ['a Remaining Length with one byte more than needed', '30 84 00 00 01 61 00', { topic: 'a' }],
  ['U+FFFD itself', '30 06 00 03 ef bf bd 00', { topic: '\uFFFD' }],
  ['characters of two to four bytes', '30 0d 00 0a c3 a4 e2 82 ac f0 9f 8c b1 61 00', { topic: 'ä€🌱a' }],
  ['a byte order mark, which is kept', '30 07 00 04 ef bb bf 61 00', { topic: '\uFEFFa' }],
])('delivers PUBLISH with %s', async (_what, after, expected) => {
  const testSession = await connect({ after })
  await testSession.until(() => testSession.deliveries.length > 0 || testSession.errors.length > 0)
  expect(testSession.deliveries).toEqual([expect.objectContaining(expected)])
  expect(testSession.errors).toEqual([])
})

test('tolerates a PUBACK that matches no publish in flight, and undefined reason codes', async () => {
  const testSession = await connect({ after: '40 02 12 34 40 04 12 34 55 00 30 04 00 01 61 00' })
  await testSession.until(() => testSession.deliveries.length > 0 || testSession.errors.length > 0)
  expect(testSession.errors).toEqual([])
})

test.each([
  ['20 02 00 86', 'bad user name or password, 0x86'],
  ['20 02 00 87', 'not authorized, 0x87'],
  ['20 02 00 9f', 'connection rate exceeded, 0x9f'],
])('reports the reason of an MQTT 5 CONNACK without a Property Length: %s', async (connack, reason) => {
  const [{ message }] = await errorAfter({ connack })
  expect(message).toContain(`The broker refused the connection (${reason})`)
})

test('recognizes an MQTT 3.1.1 broker that refuses MQTT 5 with its own CONNACK', async () => {
  const [{ message }] = await errorAfter({ connack: '20 02 00 01' })
  expect(message).toBe(
    'The broker refused the connection (unsupported protocol version, 0x84). Set broker.mqttVersion to 3.1.1 for this broker.',
  )
})

test('names the other server when the broker refers the client to it', async () => {
  const [{ message }] = await errorAfter({ connack: '20 0a 00 9d 07 1c 00 04 62 3a 0a 31' })
  expect(message).toContain(
    'server moved, 0x9d); the other server is "b: 1". Set broker.url to the other server.',
  )
  const [{ message: ended }] = await errorAfter({ after: 'e0 09 9c 07 1c 00 04 61 2e 62 63' })
  expect(ended).toContain('use another server, 0x9c); the other server is "a.bc". Set broker.url')
})
